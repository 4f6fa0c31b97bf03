// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ContractWallet} from "./ContractWallet.sol";

/// @title Makes such wallets at addresses that are known before (CREATE2), for signatures of wallets that are not
/// there yet (ERC-6492).
contract ContractWalletFactory {
    /// @notice Makes the wallet of this owner; it stays when it is there.
    function make(address owner) external returns (address wallet) {
        wallet = addressOf(owner);
        if (wallet.code.length == 0) new ContractWallet{salt: 0}(owner);
    }

    /// @notice The address of the wallet of this owner.
    function addressOf(address owner) public view returns (address) {
        bytes32 code = keccak256(abi.encodePacked(type(ContractWallet).creationCode, abi.encode(owner)));
        bytes32 hash = keccak256(abi.encodePacked(bytes1(0xff), address(this), bytes32(0), code));
        return address(uint160(uint256(hash)));
    }
}
