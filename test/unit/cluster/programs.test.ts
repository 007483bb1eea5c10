// Does the cache keep a program under what it was built from, and does the tool write buildkitd.toml
// as buildkitd reads it?
import assert from "node:assert/strict";
import path from "node:path";
import { binaryNames, binaryPath, cacheRoot, versionOf } from "../../cluster/base/binaries.ts";
import { registrySections, withCgroupParent } from "../../cluster/servers/buildkitdProcess.ts";
import { networkOf } from "../../cluster/node/network.ts";

describe("programs of the test cluster", () => {
  it("every program has a pinned version", () => {
    for (const name of binaryNames) {
      assert.match(versionOf(name), /^v\d+\.\d+\.\d+(-[a-z]+\.\d+)?$/, name);
    }
  });

  it("a program lies in a folder of the cache that names its version", () => {
    const file = binaryPath("buildkitd");
    const folder = path.basename(path.dirname(file));
    assert.ok(file.startsWith(cacheRoot()));
    assert.match(folder, new RegExp(`^buildkit-${versionOf("buildkitd")}-[0-9a-f]{12}$`));
  });

  it("a program that no module provides is refused by name", () => {
    assert.throws(
      () => binaryPath("podman"),
      /no Go module of tools\/ provides the program podman/,
    );
  });
});

describe("buildkitd.toml of the test cluster", () => {
  it("the mirror and every plain registry are marked as http, each once", () => {
    const text = registrySections("10.0.0.1:1", ["10.0.0.1:1", "10.0.0.2:2"]);
    assert.match(text, /^\[registry\."docker\.io"\]\n {2}mirrors = \["10\.0\.0\.1:1"\]/);
    assert.equal(text.match(/http = true/g)?.length, 2);
  });

  it("the control group goes into the table that the user wrote", () => {
    const text = withCgroupParent("[worker.oci]\n  gc = false\n", "x");
    assert.equal(text, '[worker.oci]\n  defaultCgroupParent = "x"\n  gc = false\n');
  });

  it("the table is added when the user wrote none", () => {
    assert.match(withCgroupParent("debug = true", "x"), /debug = true\n\[worker\.oci\]\n.*"x"/);
  });
});

describe("addresses of the test cluster", () => {
  it("two clusters share no address", () => {
    const [one, two] = [networkOf(210), networkOf(211)];
    for (const key of ["link", "hostAddress", "podCidr", "serviceCidr"] as const) {
      assert.notEqual(one[key], two[key]);
    }
  });
});
