// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {Marketplace} from "./Marketplace.sol";
import {UsdToken} from "./UsdToken.sol";

/// The few cheatcodes of the test runner that are used here.
interface Vm {
    function prank(address sender) external;
    function startPrank(address sender) external;
    function stopPrank() external;
    function expectRevert(bytes4 selector) external;
    function expectRevert(bytes calldata data) external;
    function expectEmit(bool topic1, bool topic2, bool topic3, bool data, address emitter) external;
}

/// Keeps a hundredth of each transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = from == address(0) ? 0 : amount / 100;
        super._update(from, to, amount - fee);
        if (fee > 0) super._update(from, address(0xfee), fee);
    }
}

/// Says that it moved the money, and keeps it all.
contract EmptyToken is ERC20("Empty", "EMPTY") {
    function transferFrom(address, address, uint256) public pure override returns (bool) {
        return true;
    }
}

/// Calls the marketplace once more while it is being paid, with money and allowance of its own.
contract ReentrantToken is ERC20("Reentrant", "AGAIN") {
    Marketplace public target;
    bool private called;

    function aim(Marketplace target_) external {
        target = target_;
        _mint(address(this), 10);
        _approve(address(this), address(target_), 10);
    }

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (to == address(target) && to != address(0) && !called) {
            called = true;
            target.deposit(1);
        }
        super._update(from, to, amount);
    }
}

/// Deposits and gifts in any order, for the invariants below.
contract Payers {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    UsdToken public immutable token;
    Marketplace public immutable marketplace;
    uint256 public deposited;
    uint256 public given;
    uint256 public repeatedIds;
    mapping(bytes32 depositId => bool) private seen;

    constructor(UsdToken token_, Marketplace marketplace_) {
        token = token_;
        marketplace = marketplace_;
    }

    function deposit(uint8 payerNumber, uint256 amount) external {
        address payer = address(uint160(0x1000 + (payerNumber % 4)));
        amount = 1 + (amount % 1_000_000);
        token.drip(payer, amount);
        vm.startPrank(payer);
        token.approve(address(marketplace), amount);
        bytes32 id = marketplace.deposit(amount);
        vm.stopPrank();
        if (seen[id]) repeatedIds++;
        seen[id] = true;
        deposited += amount;
    }

    function give(uint256 amount) external {
        amount = amount % 1_000_000;
        token.drip(address(marketplace), amount);
        given += amount;
    }
}

contract MarketplaceTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant ada = address(0xada);
    address private constant bob = address(0xb0b);
    UsdToken private token;
    Marketplace private marketplace;

    function setUp() public {
        token = new UsdToken();
        marketplace = new Marketplace(token);
        token.drip(ada, 1_000e6);
        token.drip(bob, 1_000e6);
    }

    function pay(address payer, uint256 amount) private returns (bytes32) {
        vm.startPrank(payer);
        token.approve(address(marketplace), amount);
        bytes32 id = marketplace.deposit(amount);
        vm.stopPrank();
        return id;
    }

    function idOf(address payer, uint256 sequence, uint256 amount) private view returns (bytes32) {
        return keccak256(abi.encode(block.chainid, address(marketplace), payer, sequence, address(token), amount));
    }

    function test_DepositMovesTheTokensAndSaysSo() public {
        vm.prank(ada);
        token.approve(address(marketplace), 5e6);
        vm.expectEmit(true, true, true, true, address(marketplace));
        emit Marketplace.Deposited(idOf(ada, 0, 5e6), ada, address(token), 5e6, 0);
        vm.prank(ada);
        bytes32 id = marketplace.deposit(5e6);
        require(id == idOf(ada, 0, 5e6), "id");
        require(token.balanceOf(ada) == 995e6, "payer");
        require(token.balanceOf(address(marketplace)) == 5e6, "marketplace");
        require(marketplace.depositCount(ada) == 1, "count");
    }

    function test_DepositsThatLookAlikeHaveDifferentIds() public {
        bytes32 first = pay(ada, 5e6);
        bytes32 second = pay(ada, 5e6);
        bytes32 others = pay(bob, 5e6);
        require(first != second && second != others && first != others, "ids");
    }

    function test_TheIdDoesNotDependOnOthersDeposits() public {
        pay(bob, 7e6);
        require(pay(ada, 5e6) == idOf(ada, 0, 5e6), "id");
    }

    function test_NothingIsRefused() public {
        vm.expectRevert(Marketplace.AmountZero.selector);
        vm.prank(ada);
        marketplace.deposit(0);
    }

    function test_WithoutAllowanceIsRefused() public {
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(marketplace), 0, 1)
        );
        vm.prank(ada);
        marketplace.deposit(1);
        require(marketplace.depositCount(ada) == 0, "count");
    }

    function test_MoreThanThePayerHasIsRefused() public {
        vm.startPrank(ada);
        token.approve(address(marketplace), 2_000e6);
        vm.expectRevert(
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientBalance.selector, ada, 1_000e6, 2_000e6)
        );
        marketplace.deposit(2_000e6);
        vm.stopPrank();
    }

    function test_AReentrantTokenIsRefused() public {
        ReentrantToken again = new ReentrantToken();
        Marketplace attacked = new Marketplace(again);
        again.aim(attacked);
        again.mint(ada, 10);
        vm.startPrank(ada);
        again.approve(address(attacked), 10);
        vm.expectRevert(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
        attacked.deposit(10);
        vm.stopPrank();
        require(attacked.depositCount(address(again)) == 0, "count");
    }

    function test_ATokenThatKeepsAFeeIsCreditedNet() public {
        FeeToken fee = new FeeToken();
        Marketplace shop = new Marketplace(fee);
        fee.mint(ada, 1_000);
        vm.prank(ada);
        fee.approve(address(shop), 1_000);
        bytes32 id = keccak256(abi.encode(block.chainid, address(shop), ada, uint256(0), address(fee), uint256(990)));
        vm.expectEmit(true, true, true, true, address(shop));
        emit Marketplace.Deposited(id, ada, address(fee), 990, 0);
        vm.prank(ada);
        shop.deposit(1_000);
        require(fee.balanceOf(address(shop)) == 990, "balance");
    }

    function test_ATokenThatDeliversNothingIsRefused() public {
        EmptyToken empty = new EmptyToken();
        Marketplace shop = new Marketplace(empty);
        vm.expectRevert(abi.encodeWithSelector(Marketplace.NothingReceived.selector, 5));
        vm.prank(ada);
        shop.deposit(5);
    }

    function test_AnAddressWithoutCodeIsNoToken() public {
        vm.expectRevert(abi.encodeWithSelector(Marketplace.TokenHasNoCode.selector, ada));
        new Marketplace(IERC20(ada));
    }

    function test_TheFaucetHasALimit() public {
        uint256 maximum = token.DRIP_MAX();
        token.drip(ada, maximum);
        vm.expectRevert(abi.encodeWithSelector(UsdToken.DripAboveMaximum.selector, maximum + 1, maximum));
        token.drip(ada, maximum + 1);
    }

    function testFuzz_AnyAffordableAmountArrivesWhole(uint256 amount) public {
        amount = 1 + (amount % 1_000e6);
        pay(ada, amount);
        require(token.balanceOf(address(marketplace)) == amount, "marketplace");
        require(token.balanceOf(ada) == 1_000e6 - amount, "payer");
    }
}

contract MarketplaceInvariantTest {
    Payers private payers;

    function setUp() public {
        UsdToken token = new UsdToken();
        payers = new Payers(token, new Marketplace(token));
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(payers);
    }

    function invariant_TheBalanceIsTheSumOfDepositsAndGifts() public view {
        uint256 balance = payers.token().balanceOf(address(payers.marketplace()));
        require(balance == payers.deposited() + payers.given(), "balance");
    }

    function invariant_NoIdIsGivenTwice() public view {
        require(payers.repeatedIds() == 0, "ids");
    }
}
