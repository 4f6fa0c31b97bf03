// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @title A contract that answers the question about a signature in the worst ways, for tests.
contract HostileWallet {
    /// @notice How it answers: 0 never ends, 1 returns a lot, 2 reverts with a lot, 3 returns true instead of the word.
    uint256 public immutable way;

    constructor(uint256 way_) {
        way = way_;
    }

    fallback() external {
        if (way == 0) while (true) {}
        uint256 size = way == 3 ? 32 : 300_000;
        if (way == 2) {
            assembly {
                revert(0, size)
            }
        }
        assembly {
            mstore(0, 1)
            return(0, size)
        }
    }
}
