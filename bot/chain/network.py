"""The rules in which Bitcoin's networks differ, as plain figures.

Source: Bitcoin Core `src/kernel/chainparams.cpp` (CMainParams, CRegTestParams): powLimit, fPowNoRetargeting,
nSubsidyHalvingInterval, time and hash of the genesis block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bot.chain.difficulty import HALVING_BLOCKS, MAX_TARGET, bits_from_target
from bot.chain.ondisk import Epoch


@dataclass(frozen=True, slots=True)
class Network:
    """One network: easiest target, whether difficulty ever changes, blocks between halvings, time and hash of block 0.

    `core_name` is what `getblockchaininfo` calls it; `genesis_hash` is hexadecimal in the usual (reversed) order.
    """

    name: str
    core_name: str
    max_target: int
    retargets: bool
    halving_blocks: int
    genesis_time_s: int
    genesis_hash: str

    @property
    def first_epoch(self) -> Epoch:
        """The difficulty epoch that block 0 began: as easy as the network allows."""
        return Epoch(0, 0, self.genesis_time_s, True, bits_from_target(self.max_target))


MAINNET: Final = Network(
    name="bitcoin",
    core_name="main",
    max_target=MAX_TARGET,
    retargets=True,
    halving_blocks=HALVING_BLOCKS,
    genesis_time_s=1_231_006_505,
    genesis_hash="000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
)
REGTEST: Final = Network(
    name="regtest",
    core_name="regtest",
    max_target=0x7FFFFF << 232,
    retargets=False,
    halving_blocks=150,
    genesis_time_s=1_296_688_602,
    genesis_hash="0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206",
)
"""A private chain made for tests: blocks cost nothing, difficulty never changes. No contract pays on it."""

NETWORKS: Final = {network.name: network for network in (MAINNET, REGTEST)}
