// Bakes that are refused.

import { apiVersion } from "../../../src/api/kinds.ts";
import type { Manifest, Refusal } from "./manifests.ts";

const inline = { target: { default: { "dockerfile-inline": "FROM scratch\n" } } };

function bake(spec: Record<string, unknown>, name = "bake"): Manifest {
  const metadata = { name, namespace: "default" };
  return { apiVersion, kind: "Bake", metadata, spec: { file: { inline }, ...spec } };
}

/** Cases of Bakes. */
export const bakes: readonly Refusal[] = [
  [
    "a Bake without a file",
    bake({ file: {} }),
    "spec.file",
    /exactly one of inline, text, configMap/,
  ],
  [
    "a Bake with two files",
    bake({ file: { inline, text: "{}" } }),
    "spec.file",
    /exactly one of inline, text, configMap/,
  ],
  [
    "a target with a space",
    bake({ targets: ["a b"] }),
    "spec.targets",
    /name of a target or group/,
  ],
  ["an override of no key", bake({ set: ["web=1"] }), "spec.set", /target\.key=value/],
  [
    "intermediates with a tag",
    bake({ intermediates: { repository: "registry.example.com/shop/i:1" } }),
    "spec.intermediates",
    /remove the tag/,
  ],
  [
    "a place that is none",
    bake({ places: [{ dest: "./out", to: {} }] }),
    "spec.places",
    /exactly one of/,
  ],
  [
    "a login for an address instead of a host",
    bake({ contextCredentials: [{ host: "https://g.example", secretRef: { name: "s" } }] }),
    "spec.contextCredentials",
    /must be a host/,
  ],
  ["a Bake with a long name", bake({}, "b".repeat(64)), "metadata.name", /at most 63 characters/],
];
