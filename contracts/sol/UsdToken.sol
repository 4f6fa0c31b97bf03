// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A test dollar, for embedded and test chains only.
/// @notice Anyone may mint it to anyone, so it is worth nothing: never accept it where money is real.
contract UsdToken is ERC20 {
    /// @notice The most that one call of `drip` gives: a million dollars, in millionths.
    uint256 public constant DRIP_MAX = 1_000_000 * 10 ** 6;

    /// @notice More was asked for than one call gives.
    error DripAboveMaximum(uint256 amount, uint256 maximum);

    constructor() ERC20("Test USD Coin", "USDC") {}

    /// @notice Six, like the coin that it stands for: amounts count millionths of a dollar.
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice The faucet: mints `amount` millionths of a dollar to `to`. Open to everybody.
    function drip(address to, uint256 amount) external {
        if (amount > DRIP_MAX) revert DripAboveMaximum(amount, DRIP_MAX);
        _mint(to, amount);
    }
}
