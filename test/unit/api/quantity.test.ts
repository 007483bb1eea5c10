// Kubernetes quantities as bytes.

import assert from "node:assert/strict";
import { bytesOfQuantity } from "../../../src/api/quantity.ts";

const cases: readonly (readonly [string | number, number])[] = [
  [7, 7],
  ["128", 128],
  ["1k", 1000],
  ["1Ki", 1024],
  ["128Mi", 134_217_728],
  ["1.5Gi", 1_610_612_736],
  [".5Gi", 536_870_912],
  ["2e3", 2000],
  ["1E", 1e18],
  ["1500m", 2],
  ["+4Gi", 4_294_967_296],
  ["10Gi", 10 * 2 ** 30],
  ["1.5Ki", 1536],
  ["2G", 2e9],
  ["500m", 1],
  ["1e3", 1000],
  ["1E3", 1000],
  [2048, 2048],
  ["7", 7],
];

describe("a quantity", () => {
  for (const [written, bytes] of cases)
    it(`${written} is ${bytes} bytes`, () => assert.equal(bytesOfQuantity(written), bytes));

  for (const written of ["", "Mi", "1 Mi", "one", "1Zi", "-1", "0x10"])
    it(`"${written}" is none`, () =>
      assert.throws(() => bytesOfQuantity(written), /is not a quantity/));
});
