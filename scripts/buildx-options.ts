// Which field has an option of buildx, and which test sees its effect on a real object or daemon? Prints the table of
// test/unit/builder/buildx-options.ts, which a unit test holds against the tests that there are.

import { optionsByDriver, testOf } from "../test/unit/builder/buildx-options.ts";

console.log("| driver | option | field | test |\n|---|---|---|---|");
for (const [driver, options] of Object.entries(optionsByDriver)) {
  for (const one of options) {
    const { file = "none", title = "none" } = testOf(one) ?? {};
    console.log(`| ${driver} | \`${one.option}\` | \`${one.field}\` | ${file}: ${title} |`);
  }
}
