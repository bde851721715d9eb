import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { chmod, mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

import { HostAgentError } from './errors';
import { type Identity, identityUri } from './identity';

/** PEM texts: a certificate, its private key, and the authority that both sides trust. */
export interface TlsMaterial {
  certificate: string;
  key: string;
  authority: string;
}

export interface TlsFiles {
  certificatePath: string;
  keyPath: string;
  authorityPath: string;
}

const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 60 * 60 * 1_000;
/** A little of the past, for hosts whose clocks run behind. */
const CLOCK_SKEW_MS = 60 * 60 * 1_000;

x509.cryptoProvider.set(webcrypto);

/**
 * A small certificate authority for one installation. It lives in a folder that only its owner may read
 * (`authority.pem`, `authority-key.pem`) and issues EC P-256 certificates whose identity is a URI name.
 */
export class CertificateAuthority {
  readonly #certificate: x509.X509Certificate;
  readonly #key: webcrypto.CryptoKey;

  private constructor(certificate: x509.X509Certificate, key: webcrypto.CryptoKey) {
    this.#certificate = certificate;
    this.#key = key;
  }

  /** Opens the authority in the folder, or creates it there. Throws CERTIFICATE_AUTHORITY_BROKEN. */
  static async open(folder: string): Promise<CertificateAuthority> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const certificatePath = join(folder, 'authority.pem');
    const keyPath = join(folder, 'authority-key.pem');
    const existing = await readIfThere(certificatePath);
    if (existing === null) {
      const made = await CertificateAuthority.#create();
      // The certificate goes last: it marks the folder as complete.
      await writeSecret(keyPath, await exportKey(made.#key));
      await writeSecret(certificatePath, made.#certificate.toString('pem') + '\n');
      return made;
    }
    try {
      const certificate = new x509.X509Certificate(existing);
      const key = await importKey(await readFile(keyPath, 'utf8'));
      if (certificate.notAfter.getTime() < Date.now()) throw new Error('its certificate has expired');
      return new CertificateAuthority(certificate, key);
    } catch (cause) {
      throw new HostAgentError(
        'CERTIFICATE_AUTHORITY_BROKEN',
        `The certificate authority in ${folder} cannot be used: ${(cause as Error).message}. ` +
          'Restore the folder, or move it away so that a new authority and new certificates are made.',
        { cause },
      );
    }
  }

  /** The authority's own certificate, PEM. */
  get certificate(): string {
    return this.#certificate.toString('pem') + '\n';
  }

  /** A new key and certificate for the identity. `daysValid` defaults to 365. */
  async issue(identity: Identity, { daysValid = 365 }: { daysValid?: number } = {}): Promise<TlsMaterial> {
    const keys = await generateKeys();
    const now = Date.now();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: `CN=${identity.id}, OU=${identity.role}, O=Watari`,
      issuer: this.#certificate.subject,
      notBefore: new Date(now - CLOCK_SKEW_MS),
      notAfter: new Date(Math.min(now + daysValid * DAY_MS, this.#certificate.notAfter.getTime())),
      publicKey: keys.publicKey,
      signingKey: this.#key,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        // Agents are servers to the control plane and clients to each other.
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        new x509.SubjectAlternativeNameExtension([{ type: 'url', value: identityUri(identity) }]),
        await x509.AuthorityKeyIdentifierExtension.create(this.#certificate),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return {
      certificate: certificate.toString('pem') + '\n',
      key: await exportKey(keys.privateKey),
      authority: this.certificate,
    };
  }

  /** Issues into files of a folder, mode 0600; the names are `<role>-<id>.pem`, `-key.pem` and `authority.pem`. */
  async issueFiles(
    folder: string,
    identity: Identity,
    options: { daysValid?: number } = {},
  ): Promise<TlsFiles> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const material = await this.issue(identity, options);
    const files = {
      certificatePath: join(folder, `${identity.role}-${identity.id}.pem`),
      keyPath: join(folder, `${identity.role}-${identity.id}-key.pem`),
      authorityPath: join(folder, 'authority.pem'),
    };
    await writeSecret(files.keyPath, material.key);
    await writeSecret(files.authorityPath, material.authority);
    await writeSecret(files.certificatePath, material.certificate);
    return files;
  }

  static async #create(): Promise<CertificateAuthority> {
    const keys = await generateKeys();
    const now = Date.now();
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serialNumber(),
      name: 'CN=Watari authority, O=Watari',
      notBefore: new Date(now - CLOCK_SKEW_MS),
      notAfter: new Date(now + 3_650 * DAY_MS),
      keys,
      signingAlgorithm: SIGNING,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      ],
    });
    return new CertificateAuthority(certificate, keys.privateKey);
  }
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(SIGNING, true, ['sign', 'verify']);
}

/** 127 random bits: positive, and never guessable. */
function serialNumber(): string {
  const bytes = Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY') + '\n';
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = x509.PemConverter.decode(pem)[0];
  if (!der) throw new Error('its key file holds no key');
  return await webcrypto.subtle.importKey('pkcs8', der, SIGNING, true, ['sign']);
}

async function readIfThere(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Whole or not at all, and never readable by others, not even for a moment. */
async function writeSecret(path: string, text: string): Promise<void> {
  const partial = `${path}.partial`;
  const file = await open(partial, 'w', 0o600);
  try {
    await file.chmod(0o600);
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(partial, path);
  await chmod(path, 0o600);
}
