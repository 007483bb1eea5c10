// Which certificates does Kiln issue? One authority of its own, a server certificate for the Builders of
// each namespace, and a client certificate for the controller. No Kubernetes and no clock in here.

import "reflect-metadata";
import { createHash, randomBytes, webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { ServerCertificate } from "../kubernetes/access.ts";

x509.cryptoProvider.set(webcrypto);

/** Kiln's certificate authority, as its Secret keeps it. PEM texts. */
export interface Authority {
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
  /** What both sides trust: this authority, the next one, and the one before while certificates of it are about. */
  readonly bundle: string;
  /** The one that will sign once everybody has learnt to trust it. */
  readonly next?: { readonly certificate: string; readonly key: string };
}

/** A client's identity and what it trusts. PEM texts. */
export interface ClientCertificate {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

const dayMs = 86_400_000;
/** How long each kind of certificate is good for. */
export const lifetimes = {
  authorityMs: 3650 * dayMs,
  serverMs: 365 * dayMs,
  clientMs: 7 * dayMs,
} as const;
/** So long a new authority is trusted before it signs: kubelets bring a changed Secret to the pods within minutes. */
const announceMs = 60 * 60_000;
/** Clocks differ between machines: certificates are good from a little before they are made. */
const skewMs = 5 * 60_000;
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const serverAuth = "1.3.6.1.5.5.7.3.1";
const clientAuth = "1.3.6.1.5.5.7.3.2";

/**
 * A fresh authority. Its bundle goes on trusting `previous`, so that daemons and controllers that still
 * hold certificates of that one are let in until they are replaced.
 */
export async function newAuthority(now: Date, previous?: Authority): Promise<Authority> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=Kiln builder CA ${randomBytes(4).toString("hex")}`,
    notBefore: new Date(now.getTime() - skewMs),
    notAfter: new Date(now.getTime() + lifetimes.authorityMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pem = pemOf(certificate);
  const bundle =
    previous === undefined || isExpired(previous.certificate, now)
      ? pem
      : pem + previous.certificate;
  return { certificate: pem, key: await privateKey(keys), bundle };
}

/**
 * The authority as it should be now: the same; or, when most of its life is over, the same with a successor that is
 * trusted already; or that successor, once it has been trusted for an hour.
 */
export async function renewed(authority: Authority, now: Date): Promise<Authority> {
  if (!isDue(authority.certificate, now)) return authority;
  const { next } = authority;
  if (next === undefined) {
    const made = await newAuthority(now, authority);
    const { certificate, key } = authority;
    const successor = { certificate: made.certificate, key: made.key };
    return { certificate, key, bundle: made.bundle, next: successor };
  }
  const announced = parse(next.certificate)?.notBefore.getTime() ?? 0;
  if (now.getTime() < announced + skewMs + announceMs) return authority;
  const bundle = isExpired(authority.certificate, now)
    ? next.certificate
    : next.certificate + authority.certificate;
  return { ...next, bundle };
}

/** A certificate with which an agent answers as `dnsName` (which may begin with `*.`); no client can use it. */
export async function issueServer(
  authority: Authority,
  dnsName: string,
  now: Date,
): Promise<ServerCertificate> {
  const issued = await issue(authority, {
    subject: "CN=kiln builder",
    usage: serverAuth,
    notAfterMs: now.getTime() + lifetimes.serverMs,
    names: [{ type: "dns", value: dnsName }],
    now,
  });
  return { ca: authority.bundle, ...issued };
}

/** A certificate with which Kiln may dial every Builder of its own; no server can use it. */
export async function issueClient(authority: Authority, now: Date): Promise<ClientCertificate> {
  const issued = await issue(authority, {
    subject: "CN=kiln controller",
    usage: clientAuth,
    notAfterMs: now.getTime() + lifetimes.clientMs,
    names: [],
    now,
  });
  return { ca: authority.bundle, ...issued };
}

/** Whether two thirds of the certificate's life are over, or it can't be read. */
export function isDue(pem: string, now: Date): boolean {
  const certificate = parse(pem);
  if (certificate === undefined) return true;
  const begin = certificate.notBefore.getTime();
  const end = certificate.notAfter.getTime();
  return now.getTime() >= begin + ((end - begin) * 2) / 3;
}

/** Whether `authority` signed the certificate, which names `dnsName`, and it is not due for renewal. */
export async function isGoodServer(
  tls: ServerCertificate,
  authority: Authority,
  dnsName: string,
  now: Date,
): Promise<boolean> {
  const certificate = parse(tls.certificate);
  const issuer = parse(authority.certificate);
  if (certificate === undefined || issuer === undefined) return false;
  if (tls.ca !== authority.bundle || isDue(tls.certificate, now)) return false;
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.items ?? [];
  if (!names.some(({ type, value }) => type === "dns" && value === dnsName)) return false;
  return await certificate.verify({ publicKey: issuer, signatureOnly: true });
}

/** 16 hex digits that change when anything about a server's identity or trust does. */
export function fingerprint(tls: ServerCertificate): string {
  return createHash("sha256").update(tls.ca).update(tls.certificate).digest("hex").slice(0, 16);
}

interface IssueOptions {
  readonly subject: string;
  readonly usage: string;
  readonly notAfterMs: number;
  readonly names: x509.JsonGeneralNames;
  readonly now: Date;
}

async function issue(
  authority: Authority,
  o: IssueOptions,
): Promise<{ certificate: string; key: string }> {
  const issuer = new x509.X509Certificate(authority.certificate);
  const signingKey = await webcrypto.subtle.importKey(
    "pkcs8",
    x509.PemConverter.decodeFirst(authority.key),
    algorithm,
    false,
    ["sign"],
  );
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: o.subject,
    issuer: issuer.subject,
    notBefore: new Date(o.now.getTime() - skewMs),
    notAfter: new Date(Math.min(o.notAfterMs, issuer.notAfter.getTime())),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([o.usage]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(o.names.length === 0 ? [] : [new x509.SubjectAlternativeNameExtension(o.names)]),
    ],
  });
  return { certificate: pemOf(certificate), key: await privateKey(keys) };
}

async function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(algorithm, true, [
    "sign",
    "verify",
  ])) as webcrypto.CryptoKeyPair;
}

async function privateKey(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
  return `${x509.PemConverter.encode(der, "PRIVATE KEY")}\n`;
}

function pemOf(certificate: x509.X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

/** Positive and of at most 20 bytes, as RFC 5280 §4.1.2.2 wants it. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function parse(pem: string): x509.X509Certificate | undefined {
  try {
    return new x509.X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function isExpired(pem: string, now: Date): boolean {
  const certificate = parse(pem);
  return certificate === undefined || certificate.notAfter.getTime() <= now.getTime();
}
