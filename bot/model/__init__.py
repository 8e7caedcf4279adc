"""What a hash-power contract is worth: payout rate, difficulty growth, fair value, carry. Floats live here."""
