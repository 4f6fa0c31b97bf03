// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title A wallet that is a contract, for tests: what its owner's key signs, it has signed (ERC-1271).
contract ContractWallet is IERC1271 {
    /// @notice The key that signs for it.
    address public immutable owner;

    constructor(address owner_) {
        owner = owner_;
    }

    /// @notice Says whether the owner has signed the hash.
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address signer, ECDSA.RecoverError failed, ) = ECDSA.tryRecover(hash, signature);
        bool valid = failed == ECDSA.RecoverError.NoError && signer == owner;
        return valid ? IERC1271.isValidSignature.selector : bytes4(0xffffffff);
    }
}
