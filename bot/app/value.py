"""Commands on the model: price a contract, score the forecasts."""

from __future__ import annotations

from argparse import Namespace

from bot.app.outcome import Outcome, progress


def price(options: Namespace) -> Outcome:
    """Value a contract at one moment, from what was known then."""
    from backtests.whole_file import refuse_file, write_file
    from bot import pricing, pricing_pages

    if options.plot:
        refuse_file(options.plot)
    valuation = pricing.valuation(options)
    text = pricing_pages.as_text(valuation)
    if options.plot:
        write_file(options.plot, pricing_pages.as_svg(valuation).encode())
        text += f"\nplot: {options.plot}"
    return Outcome(text, pricing_pages.as_document(valuation))


def validate_model(options: Namespace) -> Outcome:
    """Score every model of difficulty on every retarget since 2012, from bundled figures."""
    from backtests.whole_file import refuse_file, write_file
    from bot import validating
    from bot.chain.chain import load as load_chain
    from bot.model.validation import validate

    if options.plot:
        refuse_file(options.plot)
    epochs = load_chain(options.chain).epochs
    progress(f"forecasting from {epochs[-1].number + 1} difficulty epochs")
    rows = validate(epochs)
    text = validating.table(rows)
    if options.plot:
        write_file(options.plot, validating.reliability_svg(rows).encode())
        text += f"\nplot: {options.plot}"
    return Outcome(text, validating.document(rows, len(epochs)))
