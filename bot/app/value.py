"""Commands on the model: price a contract, score the forecasts."""

from __future__ import annotations

from argparse import Namespace

from bot.app.outcome import Outcome, progress


def price(options: Namespace) -> Outcome:
    """Value a contract at one moment, from what was known then."""
    from bot import pricing, pricing_pages

    valuation = pricing.valuation(options)
    text = pricing_pages.as_text(valuation)
    if options.plot:
        options.plot.write_text(pricing_pages.as_svg(valuation), encoding="utf-8")
        text += f"\nplot: {options.plot}"
    return Outcome(text, pricing_pages.as_document(valuation))


def validate_model(options: Namespace) -> Outcome:
    """Score every model of difficulty on every retarget since 2012, from bundled figures."""
    from bot import validating
    from bot.chain.chain import load as load_chain
    from bot.model.validation import validate

    epochs = load_chain(options.chain).epochs
    progress(f"forecasting from {epochs[-1].number + 1} difficulty epochs")
    rows = validate(epochs)
    text = validating.table(rows)
    if options.plot:
        options.plot.write_text(validating.reliability_svg(rows), encoding="utf-8")
        text += f"\nplot: {options.plot}"
    return Outcome(text, validating.document(rows, len(epochs)))
