import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { version } from "../../src/version.ts";

const root = new URL("../../", import.meta.url);

describe("the version", () => {
  it("is the package's", () => {
    const text = readFileSync(new URL("package.json", root), "utf8");
    assert.equal((JSON.parse(text) as { version: string }).version, version);
  });

  it("is the chart's and its application's", () => {
    const chart = parse(readFileSync(new URL("helm/Chart.yaml", root), "utf8")) as {
      version: string;
      appVersion: string;
    };
    assert.deepEqual([chart.version, chart.appVersion], [version, version]);
  });
});
