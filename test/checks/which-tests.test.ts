import { describe, expect, it } from "vitest";
import { whichTests } from "../../src/checks/which-tests.ts";

describe("whichTests", () => {
  it.each([
    [
      "src/cart.ts",
      ["src/cart.test.ts", "test/cart.spec.tsx", "test/other.test.ts", "src/cart.ts"],
      ["src/cart.test.ts", "test/cart.spec.tsx"],
    ],
    ["shop/cart.py", ["tests/test_cart.py", "tests/test_cart_total.py"], ["tests/test_cart.py"]],
    ["pkg/cart.go", ["pkg/cart_test.go", "pkg/cart_test.py"], ["pkg/cart_test.go"]],
    [
      "src/main/java/shop/Cart.java",
      ["src/test/java/shop/CartTest.java", "src/test/java/other/CartTest.java"],
      ["src/test/java/shop/CartTest.java", "src/test/java/other/CartTest.java"],
    ],
    ["lib/cart.rb", ["spec/cart_spec.rb", "test/cart_test.rb"], ["spec/cart_spec.rb", "test/cart_test.rb"]],
    ["lib/cart.js", ["test/cart.js", "lib/cart.js"], ["test/cart.js"]],
    ["src/cart.test.ts", ["src/cart.test.ts"], ["src/cart.test.ts"]],
    ["src/gone.ts", ["src/cart.test.ts"], []],
  ])("whichTests finds the tests of %s", (changed, files, expected) => {
    expect(whichTests(changed, files)).toEqual(expected);
  });
});
