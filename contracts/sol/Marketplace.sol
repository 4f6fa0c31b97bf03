// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

/// @title Where renters pay in.
/// @notice Takes deposits of one ERC-20 and says so in an event that the platform's ledger is fed from. It keeps no
/// balances: who may spend how much is the ledger's affair.
contract Marketplace is ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    /// @notice The one token that is taken.
    IERC20 public immutable token;

    /// @notice How many deposits a payer has made; the next one carries this number.
    mapping(address payer => uint256 count) public depositCount;

    /// @notice Money came in. `depositId` depends on the payer's own count and not on the block, so a reorganisation
    /// that moves the deposit leaves its id as it was, and it is credited once.
    /// @param amount What was really received, in the token's minor units.
    /// @param sequence The payer's own count of deposits, from 0.
    event Deposited(
        bytes32 indexed depositId,
        address indexed payer,
        address indexed token,
        uint256 amount,
        uint256 sequence
    );

    /// @notice A deposit of nothing was asked for.
    error AmountZero();

    /// @notice The token said that it moved `amount`, but nothing arrived.
    error NothingReceived(uint256 amount);

    /// @notice The address given as the token has no code.
    error TokenHasNoCode(address token);

    constructor(IERC20 token_) {
        if (address(token_).code.length == 0) revert TokenHasNoCode(address(token_));
        token = token_;
    }

    /// @notice Takes `amount` of the token from the caller, who must have approved it before.
    /// @return depositId The id of this deposit for ever.
    function deposit(uint256 amount) external nonReentrant returns (bytes32 depositId) {
        // Check
        if (amount == 0) revert AmountZero();

        // Effect
        uint256 sequence = depositCount[msg.sender]++;

        // Interaction
        uint256 before = token.balanceOf(address(this));
        token.safeTransferFrom(msg.sender, address(this), amount);
        uint256 received = token.balanceOf(address(this)) - before;

        // What is credited is what arrived: a token that keeps a fee is only known after its transfer.
        if (received == 0) revert NothingReceived(amount);
        depositId = keccak256(
            abi.encode(block.chainid, address(this), msg.sender, sequence, address(token), received)
        );
        emit Deposited(depositId, msg.sender, address(token), received, sequence);
    }
}
