// Which certificates do the servers of a test use? A throw-away authority in a folder and leaf
// certificates for servers and clients, by the openssl program (P-256, a year).
import { execFile } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const days = "365";

/** Files of one certificate, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority that lives in a folder. */
export interface Authority extends KeyPair {
  readonly folder: string;
}

/** Whom a certificate names and what it is for. */
export interface LeafOptions {
  readonly name: string;
  /** Common name; Kubernetes reads it as the user. */
  readonly commonName: string;
  /** Kubernetes reads it as the groups. */
  readonly organization?: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** Whether it ended yesterday. */
  readonly expired?: boolean;
}

async function openssl(args: readonly string[]): Promise<void> {
  await run("openssl", [...args]);
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/** Makes a certificate authority `<name>.crt` and `<name>.key` in a folder. */
export async function authority(folder: string, name: string): Promise<Authority> {
  mkdirSync(folder, { recursive: true });
  const cert = path.join(folder, `${name}.crt`);
  const key = path.join(folder, `${name}.key`);
  await openssl([
    "req",
    "-x509",
    ...newKey,
    "-keyout",
    key,
    "-out",
    cert,
    "-days",
    days,
    "-subj",
    `/CN=${name}`,
    "-addext",
    "basicConstraints=critical,CA:TRUE",
    "-addext",
    "keyUsage=critical,keyCertSign,cRLSign,digitalSignature",
  ]);
  return { folder, cert, key };
}

/** Makes a certificate for servers and clients, signed by an authority, in the authority's folder. */
export async function leaf(ca: Authority, options: LeafOptions): Promise<KeyPair> {
  const file = (extension: string): string => path.join(ca.folder, `${options.name}.${extension}`);
  const names = [
    ...(options.dnsNames ?? []).map((n) => `DNS:${n}`),
    ...(options.ipAddresses ?? []).map((a) => `IP:${a}`),
  ];
  const extensions = [
    "basicConstraints=critical,CA:FALSE",
    "keyUsage=critical,digitalSignature",
    "extendedKeyUsage=serverAuth,clientAuth",
    ...(names.length > 0 ? [`subjectAltName=${names.join(",")}`] : []),
  ];
  writeFileSync(file("ext"), extensions.join("\n"));
  const organization = options.organization === undefined ? "" : `/O=${options.organization}`;
  const subject = `${organization}/CN=${options.commonName}`;
  await openssl([
    "req",
    "-new",
    ...newKey,
    "-keyout",
    file("key"),
    "-out",
    file("csr"),
    "-subj",
    subject,
  ]);
  await openssl([
    "x509",
    "-req",
    "-in",
    file("csr"),
    "-CA",
    ca.cert,
    "-CAkey",
    ca.key,
    "-set_serial",
    `0x${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`,
    "-days",
    options.expired === true ? "-1" : days,
    "-extfile",
    file("ext"),
    "-out",
    file("crt"),
  ]);
  return { cert: file("crt"), key: file("key") };
}

/** Makes a key pair without a certificate: `<name>.key` and `<name>.pub` (service account tokens). */
export async function signingKey(
  folder: string,
  name: string,
): Promise<{ key: string; pub: string }> {
  mkdirSync(folder, { recursive: true });
  const key = path.join(folder, `${name}.key`);
  const pub = path.join(folder, `${name}.pub`);
  await openssl(["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key]);
  await openssl(["ec", "-in", key, "-pubout", "-out", pub]);
  return { key, pub };
}
