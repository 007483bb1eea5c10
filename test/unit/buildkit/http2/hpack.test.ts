import assert from "node:assert/strict";
import fc from "fast-check";
import { encodeHeaders, HeaderDecoder } from "../../../../src/buildkit/http2/headers/hpack.ts";
import { decodeHuffman } from "../../../../src/buildkit/http2/headers/huffman.ts";
import { errorCode, type HeaderList } from "../../../../src/buildkit/http2/protocol.ts";

function decoder(maxTableBytes = 4096, maxListBytes = 65_536): HeaderDecoder {
  return new HeaderDecoder({ maxTableBytes, maxListBytes });
}

const get: HeaderList = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
  [":authority", "www.example.com"],
];
const https: HeaderList = [
  [":method", "GET"],
  [":scheme", "https"],
  [":path", "/index.html"],
  [":authority", "www.example.com"],
  ["custom-key", "custom-value"],
];
const requests: HeaderList[] = [get, [...get, ["cache-control", "no-cache"]], https];

const date = "Mon, 21 Oct 2013 20:13:21 GMT";
const location = "https://www.example.com";
const responseOf = (status: string, at: string, ...more: HeaderList): HeaderList => [
  [":status", status],
  ["cache-control", "private"],
  ["date", at],
  ["location", location],
  ...more,
];
const responses: HeaderList[] = [
  responseOf("302", date),
  responseOf("307", date),
  responseOf(
    "200",
    "Mon, 21 Oct 2013 20:13:22 GMT",
    ["content-encoding", "gzip"],
    ["set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"],
  ),
];

describe("HPACK by the examples of RFC 7541", () => {
  const single: [name: string, hex: string, header: readonly [string, string]][] = [
    [
      "C.2.1, a literal that is indexed",
      "400a637573746f6d2d6b65790d637573746f6d2d686561646572",
      ["custom-key", "custom-header"],
    ],
    [
      "C.2.2, a literal without indexing",
      "040c2f73616d706c652f70617468",
      [":path", "/sample/path"],
    ],
    [
      "C.2.3, a literal that is never indexed",
      "100870617373776f726406736563726574",
      ["password", "secret"],
    ],
    ["C.2.4, an indexed header", "82", [":method", "GET"]],
  ];
  for (const [name, hex, header] of single) {
    it(`decodes ${name}`, () => {
      assert.deepEqual(decoder().decode(Buffer.from(hex, "hex")).headers, [header]);
    });
  }

  const sequences: [name: string, tableBytes: number, want: HeaderList[], blocks: string[]][] = [
    [
      "C.3, requests without Huffman",
      4096,
      requests,
      [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
      ],
    ],
    [
      "C.4, requests with Huffman",
      4096,
      requests,
      [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
      ],
    ],
    [
      "C.5, responses without Huffman in a small table",
      256,
      responses,
      [
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
      ],
    ],
    [
      "C.6, responses with Huffman in a small table",
      256,
      responses,
      [
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
      ],
    ],
  ];
  for (const [name, tableBytes, want, blocks] of sequences) {
    it(`decodes ${name}`, () => {
      const reader = decoder(tableBytes);
      const got = blocks.map((hex) => reader.decode(Buffer.from(hex, "hex")).headers);
      assert.deepEqual(got, want);
    });
  }
});

describe("an HPACK decoder", () => {
  it("reads what the encoder writes", () => {
    const text = fc.string({ unit: "grapheme-ascii", maxLength: 300 });
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/);
    const headers = fc.array(fc.tuple(fc.oneof(name, fc.constantFrom(":path", "te")), text));
    fc.assert(
      fc.property(headers, (list) => {
        assert.deepEqual(decoder(4096, 1 << 20).decode(encodeHeaders(list)).headers, list);
      }),
    );
  });

  it("ends only with COMPRESSION_ERROR, whatever the bytes are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          decoder().decode(Buffer.from(bytes));
        } catch (error) {
          assert.equal((error as { code?: unknown }).code, errorCode.compressionError);
        }
      }),
    );
  });

  const bad: [sentence: string, hex: string][] = [
    ["the index 0", "80"],
    ["an index beyond the tables", "be"],
    ["a block that is cut off in a string", "400a6375"],
    ["a block that is cut off in a number", "7f"],
    ["a number without end", "ffffffffffffffffffffff7f"],
    ["a table that is larger than allowed", "3fe21f82"],
    ["a table size between headers", "8220"],
    ["a Huffman string with the end-of-string symbol", "0001610484ffffffff"],
    ["Huffman padding of zeros", "000161811800"],
  ];
  for (const [sentence, hex] of bad) {
    it(`refuses ${sentence}`, () => {
      assert.throws(() => decoder().decode(Buffer.from(hex, "hex")), {
        code: errorCode.compressionError,
      });
    });
  }

  it("empties its table when the peer says so", () => {
    const reader = decoder();
    reader.decode(Buffer.from("4001610162", "hex"));
    assert.deepEqual(reader.decode(Buffer.from("be", "hex")).headers, [["a", "b"]]);
    reader.decode(Buffer.from("20", "hex"));
    assert.throws(() => reader.decode(Buffer.from("be", "hex")), {
      code: errorCode.compressionError,
    });
  });

  it("drops a list that is too large, and stays in step", () => {
    const reader = decoder(4096, 100);
    const large = Buffer.concat([
      Buffer.from("4001610162", "hex"),
      encodeHeaders([["x", "y".repeat(100)]]),
    ]);
    assert.deepEqual(reader.decode(large), { headers: [], tooLarge: true });
    assert.deepEqual(reader.decode(Buffer.from("be", "hex")).headers, [["a", "b"]]);
  });

  it("counts a header that is named again and again by one byte", () => {
    const bomb = Buffer.concat([encodeHeaders([]), Buffer.alloc(10_000, 0x82)]);
    assert.equal(decoder(4096, 65_536).decode(bomb).tooLarge, true);
  });

  it("decodes every byte of Huffman's code", () => {
    // 'a' is 00011 and '~' 1111111111101: with padding, 00011 111 and 11111111 11101 111.
    assert.equal(decodeHuffman(Buffer.from("1f", "hex")), "a");
    assert.equal(decodeHuffman(Buffer.from("ffef", "hex")), "~");
  });
});
