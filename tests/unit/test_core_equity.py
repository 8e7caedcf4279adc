"""What an account is worth just before something is settled, and what a sale of collateral brings: as ledgers.

Lines read `kind source -> target amount`: 100 lots a contract, lenders keep 85 % of the interest, taker fee 0.2 %.
"""

from __future__ import annotations

from bot.core.contract import CollateralStep
from bot.core.events import CONTRACT
from bot.core.units import SAT_PER_BTC
from tests.ledgers import PERCENT_DAY, START_NS, Scene, terms, text

COIN = SAT_PER_BTC
TWO = 2 * COIN


def lender_and_short() -> Scene:
    """Bob has 1 BTC and a contract, lent at 1 %/day to Ann, who sells it short at 2 BTC at midnight of day 0."""
    scene = Scene()
    scene.deposit("bob", 3 * COIN + 400_000)  # a contract at 2 BTC and its fee of 0.2 %
    scene.quote(TWO, TWO)
    scene.order("bob", 100, wallet="exchange")
    scene.quote(TWO, TWO)
    scene.transfer("bob", "exchange", "deposit", CONTRACT, 100)
    scene.offer("bob", CONTRACT, 100, PERCENT_DAY, 30)
    scene.deposit("ann", COIN, "trading")
    scene.order("ann", -100)
    scene.quote(TWO, TWO)
    return scene


def test_a_lender_is_worth_the_same_before_and_after_his_interest_is_settled() -> None:
    """Half a day of 1 %/day on 2 BTC: 1,000,000 accrue, the venue keeps 150,000, 850,000 are the lender's."""
    scene = lender_and_short()
    assert scene.exchange.equity_sat("bob") == COIN + TWO
    ann = scene.exchange.equity_sat("ann")
    scene.new_moves()
    scene.at(hour=12).reach()
    assert scene.new_ledger() == ""
    assert scene.exchange.equity_sat("bob") == COIN + TWO + 850_000
    assert scene.exchange.equity_sat("ann") == ann - 1_000_000
    scene.exchange.settle()
    assert scene.new_ledger() == text("""
        interest ann/trading/BTC -> bob/deposit/BTC        850000
        interest ann/trading/BTC -> venue/interest_cut/BTC 150000
        """)
    assert scene.exchange.equity_sat("bob") == COIN + TWO + 850_000
    assert scene.exchange.equity_sat("ann") == ann - 1_000_000


def test_collateral_is_sold_at_half_the_assumed_spread_below_the_mark() -> None:
    """Not at the mark of 1.45 BTC, not at the bid of 1.44: at 1.45 x (1 - 0.5 %) = 1.44275 BTC, 1,442,750 sat a lot.

    Lacking after the forced sale: 1,600,000 + 200,000 + 224,000,000 + 1,152,000 = 226,952,000 satoshi. 157 lots bring
    226,511,750; 158 bring 227,954,500, less 0.2 % fee 227,498,591.
    """
    scene = Scene(terms(collateral=(CollateralStep(START_NS, True),))).funded()
    scene.deposit("eve", 5 * COIN)
    scene.quote(TWO, TWO)
    scene.order("eve", 200, wallet="exchange")
    scene.quote(TWO, TWO)
    scene.transfer("eve", "exchange", "trading", CONTRACT, 200)
    scene.order("eve", 400)
    scene.quote(TWO, TWO)
    assert scene.has("eve/trading/BTC") == -1_600_000  # the fee on 8 BTC
    scene.at(hour=12).quote(144_000_000, 146_000_000)
    assert scene.notices("eve")[-1] == "liquidation"
    scene.new_moves()
    scene.quote(144_000_000, 146_000_000)
    assert scene.new_ledger() == text("""
        trade      eve/position/TH1    -> market/exchange/TH1    400
        trade      market/exchange/BTC -> eve/position/BTC       576000000
        interest   eve/trading/BTC     -> market/exchange/BTC    170000
        interest   eve/trading/BTC     -> venue/interest_cut/BTC 30000
        repay      eve/position/BTC    -> market/exchange/BTC    800000000
        repay      market/lent/BTC     -> eve/owed/BTC           800000000
        trade      eve/trading/BTC     -> eve/position/BTC       224000000
        fee        eve/trading/BTC     -> venue/fees/BTC         1152000
        collateral eve/trading/TH1     -> market/exchange/TH1    158
        collateral market/exchange/BTC -> eve/trading/BTC        227954500
        fee        eve/trading/BTC     -> venue/fees/BTC         455909
        """)
    assert scene.has("eve/trading/BTC") == 227_498_591 - 226_952_000
    assert scene.has("eve/trading/TH1") == 42
    assert scene.has("venue/deficit/BTC") == 0
