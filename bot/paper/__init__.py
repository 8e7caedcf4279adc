"""The paper exchange: one exchange core behind a durable journal, fed by a replay or by live markets."""
