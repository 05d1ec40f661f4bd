/**
 * What latchkey needs from the world around it. `node/` and `stores/` implement these, `node.ts` wires them;
 * tests pass their own. Times are milliseconds unless a name says `seconds`.
 */
import type { EventListener, Stage } from './events.ts'

/** The WHATWG `fetch`, as every HTTP client of JavaScript offers it. */
export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>

/**
 * How far a connection may go. `any`: wherever the name leads, since the user chose it. `public`: to the internet alone,
 * since a server named it. `private`: into private networks as well. `loopback`: to this machine as well.
 */
export type Reach = 'any' | 'loopback' | 'private' | 'public'

/**
 * A `fetch` that connects only to addresses within `reach`. Where it is the platform that resolves names, it rejects with
 * a cause of code {@link ADDRESS_REFUSED} when a name leads nowhere else.
 */
export type ReachingFetch = (
  input: string | URL | Request,
  init: RequestInit | undefined,
  reach: Reach,
) => Promise<Response>

export const ADDRESS_REFUSED = 'ERR_ADDRESS_REFUSED'

/** What a platform that makes its own connections knows of where names lead. */
export interface Whereabouts {
  /** False where a proxy resolves names: then only what is connected to directly is judged by its addresses. */
  readonly judgesAll: boolean
  /** Rejects with a cause of code {@link ADDRESS_REFUSED} when one of the addresses of a host is not within `reach`. */
  readonly assertWithin: (hostname: string, reach: Reach) => Promise<void>
  /** Whether this https origin is served, with a certificate for its name, from an address in a private network. */
  readonly isPrivate: (origin: string) => Promise<boolean>
}

export interface Clock {
  /** Milliseconds since 1970: for what is stored (`expires_at`). */
  now(): number
  /** Milliseconds since some moment, never jumping: for durations. */
  monotonic(): number
  /** Calls back once; the returned function cancels. A waiting timer does not keep the process alive with `unref`. */
  setTimer(callback: () => void, delay: number, options?: { unref?: boolean }): () => void
}

export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject
export interface JsonObject {
  [member: string]: JsonValue | undefined
}

/**
 * The name of one stored record. `identity` is everything that must be equal for the record to be ours; a store
 * compares all of it (the file store by the members of the record, others by a digest of it).
 */
export interface CredentialKey {
  readonly kind: 'tokens' | 'registrations' | 'sign_ins' | 'issuers'
  /** `server_domain` of the configured URL: lower-case host, `_port` when not the default, IPv6 with `-`. */
  readonly serverDomain: string
  readonly account: string | null
  /** tokens, issuers: `server_url`, `configured_client_id`. registrations: `issuer`, `redirect_uri`. sign_ins: `state`. */
  readonly identity: Readonly<Record<string, string | null>>
}

/** A record as it is stored: JSON that repeats the members of its key's `identity`. */
export interface StoredRecord {
  readonly key: CredentialKey
  readonly record: JsonObject
  /** Changes with every write; opaque. */
  readonly revision: string
}

/** Room for one record, taken ahead of a request that spends what is stored. */
export interface Reservation {
  /** {@link CredentialStore.write}, into the room that was taken. */
  write(record: JsonObject, options?: { ifRevision?: string | null }): Promise<StoredRecord>
  /** Gives back what was not used. Never rejects. */
  release(): Promise<void>
}

/** A held lock. Nothing in it expires by the wall clock. */
export interface Lease {
  /** False once somebody else took over because this process stood still for too long. Rejects when it cannot be asked. */
  isHeld(): Promise<boolean>
  release(): Promise<void>
}

/** Someone who waits for a place on the {@link SignInBoard}. */
export interface BoardWait {
  readonly signal?: AbortSignal
  /** Hears once that another process has the place, or had it when it ended. */
  readonly onWait?: () => void
}

/** How a sign-in ended in which a person was asked. */
export interface SignInEnd {
  /** Another one for every end. */
  readonly id: string
  /** Milliseconds since 1970, by the clock of whoever posted it. */
  readonly at: number
  /** The code of the error; absent when the person is signed in. */
  readonly failure?: string
}

/**
 * What the processes of one machine know of each other's sign-ins, so that a person is asked once and for one thing at a
 * time. Nothing on it is secret, and no right on it outlives its process. Throws `store_failed` when the medium fails.
 */
export interface SignInBoard {
  /** Waits for the exclusive right to sign in for an identity. */
  claim(identity: string, wait?: BoardWait): Promise<Lease>
  /** Waits for the exclusive right to ask the person, whoever signs in to whatever: one browser tab at a time. */
  claimPerson(wait?: BoardWait): Promise<Lease>
  /** How the last sign-in for an identity ended, if that is known. */
  lastEnd(identity: string): Promise<SignInEnd | undefined>
  /** To be called by the holder of the claim only. */
  postEnd(identity: string, end: Omit<SignInEnd, 'id'>): Promise<void>
}

/**
 * Where credentials rest. Every method is atomic and safe against other processes.
 * Throws {@link StoreFailedError} (`store_failed`) when the medium fails.
 */
export interface CredentialStore {
  /** `file`, `memory`, …: shown by `status`. */
  readonly kind: string
  read(key: CredentialKey): Promise<StoredRecord | undefined>
  /**
   * Writes a whole record. `ifRevision` makes it a compare-and-swap: `null` means "only if there is none".
   * Throws `store_conflict` when the stored revision is another one.
   */
  write(
    key: CredentialKey,
    record: JsonObject,
    options?: { ifRevision?: string | null },
  ): Promise<StoredRecord>
  /** Deletes the record; with `ifRevision` only that revision (else `store_conflict`). Absent is fine. */
  delete(key: CredentialKey, options?: { ifRevision?: string }): Promise<void>
  /** Every readable record of a kind, narrowed by domain and account where given. */
  list(filter: {
    kind: CredentialKey['kind']
    serverDomain?: string
    account?: string | null
  }): Promise<StoredRecord[]>
  /** Waits for the exclusive right to change what belongs to this key. */
  lock(key: CredentialKey, options?: { signal?: AbortSignal }): Promise<Lease>
  /**
   * Throws `store_failed` when a record of this kind and account could not be written, before anybody signs in for it.
   * Optional: without it the failure comes with the write.
   */
  prepare?(place: Pick<CredentialKey, 'kind' | 'serverDomain' | 'account'>): Promise<void>
  /**
   * Takes the room for a record of about the size of the one that is stored, or throws `store_failed`. To be called under
   * the lock of the key. Optional: for media that can be full.
   */
  reserve?(key: CredentialKey): Promise<Reservation>
  /** Where the record is, in words a person can use: a path, a database key. */
  locate(key: CredentialKey): string
}

/** Where the platform's own store keeps records: see `LatchkeyOptions.store`. */
export type StorePlace = 'file' | 'keychain' | 'auto'

/** Opens a URL for the person. Rejects when no browser could be started. */
export interface UserAgent {
  open(url: string): Promise<void>
}

/** What {@link RedirectReceiver.listen} needs to choose an address. */
export interface RedirectAddress {
  /** `localhost` listens on 127.0.0.1 and ::1; a literal only on itself. */
  readonly host: 'localhost' | '127.0.0.1' | '[::1]'
  readonly port: number
  /** `/callback` */
  readonly path: string
  /** Ports to try when `port` is taken; `'any'` lets the system choose. Empty: fail at once (`port_in_use`). */
  readonly alternatives: readonly (number | 'any')[]
}

/** Takes authorization responses on the loopback interface (RFC 8252 §7.3). One listener per port and process. */
export interface RedirectReceiver {
  /**
   * Binds. The only port of an address is waited for while another process of latchkey signs in there, where a
   * `patience` is given. Throws `port_in_use`, naming port and holder.
   */
  listen(address: RedirectAddress, patience?: PortPatience): Promise<RedirectListener>
}

export interface PortPatience extends BoardWait {
  /** Milliseconds. */
  readonly limit: number
}

/** One sign-in's share of a loopback listener. `close` frees the port when nobody else uses it. */
export interface RedirectListener {
  /** Byte for byte what goes into registration, authorization and token request. */
  readonly redirectUri: string
  readonly port: number
  /** Starts to wait for the authorization response that carries `state`. */
  expect(request: ExpectedRedirect): PendingRedirect
  close(): Promise<void>
}

export interface ExpectedRedirect {
  readonly state: string
  /** Where the start URL leads: the whole authorization URL. */
  readonly authorizationUrl: string
  /** For the pages: who asks and who is asked. */
  readonly serverName: string
  /** The host of the MCP server, and of the page that the person is sent to. */
  readonly serverHost: string
  readonly authorizationHost: string
  readonly scope?: string
  /** What a person types to try again: `latchkey login linear`. */
  readonly loginCommand: string
  /**
   * The host of the issuer, where `authorizationHost` does not belong to it or has a name that may deceive: the start URL
   * then shows both and asks, and leads on only when the person says so. Without that no callback counts.
   */
  readonly confirmAgainst?: string
}

export interface PendingRedirect {
  /** Short one-time loopback URL that leads to the authorization URL, so that argv shows nothing of it. */
  readonly startUrl: string
  /**
   * The parameters of the first callback that carried `state`. Its HTTP answer is held until `finish`. Rejects with
   * `sign_in_cancelled` when the person does not confirm the host.
   */
  readonly response: Promise<URLSearchParams>
  /** Answers the held callback with a page, and every later one with the same. Call exactly once. */
  finish(outcome: RedirectOutcome): void
}

/** What the callback page tells the person. */
export type RedirectOutcome =
  | { readonly kind: 'success' }
  | {
      readonly kind: 'error'
      readonly title?: string
      readonly message: string
      readonly remedy?: string
      readonly code?: string
    }
  | { readonly kind: 'cancelled'; readonly message?: string }
  | { readonly kind: 'expired' }

/** Puts on a request what must be new for every try of it: a proof that may be used only once. */
export type SignTry = (url: string, init: RequestInit) => Promise<RequestInit>

export interface StageOptions {
  readonly sign?: SignTry
  /** A POST that may be sent again where it is not known whether the server acted on it. Default false. */
  readonly repeatable?: boolean
  /** How often a request is sent at most. Default 3. */
  readonly tries?: number
  /** The longest `Retry-After` that is waited for, in milliseconds; with a longer one the answer stands. Default a minute. */
  readonly retryAfterLimit?: number
}

/** What the user and the program say about the addresses of one server. */
export interface NetworkOptions {
  /** URLs beside the server's that stand in the configuration. */
  readonly configured?: readonly string[]
  /** What the server names may be in a private network. Default false: only where the server is itself. */
  readonly privateAddresses?: boolean
  /** Everything has to be on the internet, the server too. Default false. */
  readonly publicOnly?: boolean
}

/** The network as one configured server may use it. */
export interface ServerNetwork {
  /**
   * The `fetch` of a stage. `mcp` is one plain exchange; every other stage judges URLs and redirect hops, limits time
   * and tries again, each try signed by `sign`. All tell of every exchange. Throws `network_failed`, `url_refused`.
   */
  readonly fetch: (stage: Stage, options?: StageOptions) => Fetch
  /** Throws `url_refused` when a URL that a server chose may not be used for `purpose`. */
  readonly judgeUrl: (url: string, purpose: string) => URL
  /** The same for a page that the person's browser is sent to: where its name leads is looked at as well. */
  readonly judgePage: (url: string, purpose: string) => Promise<URL>
}

/** Reads secrets that are not in the configuration, anew each time. Rejects with any error when it cannot. */
export interface SecretReader {
  readonly readFile: (path: string) => Promise<string>
  readonly readVariable: (name: string) => string | undefined
  /** What a program prints; no shell takes part. */
  readonly run: (command: readonly string[]) => Promise<string>
}

/** Everything concrete, gathered in one place (`node.ts` for Node, `index.ts` elsewhere). */
export interface Platform {
  readonly fetch: ReachingFetch
  /** Absent where the runtime's own `fetch` resolves names. */
  readonly whereabouts?: Whereabouts
  readonly clock: Clock
  /**
   * The platform's own store; `emit` hears its warnings. `place` says where the key of its records is: nowhere (they are in
   * clear), in the system's keychain, or there if there is one. Throws `unsupported` where there can be none.
   */
  readonly createStore: (emit: EventListener, place: StorePlace) => CredentialStore
  /** The store of programs that choose none: `LATCHKEY_STORE`. */
  readonly defaultStore?: string | undefined
  /** What keeps the sign-ins of several processes apart; absent where there is only this process. */
  readonly createSignInBoard?: (emit: EventListener) => SignInBoard
  readonly redirectReceiver?: RedirectReceiver
  readonly userAgent?: UserAgent
  readonly secretReader?: SecretReader
  /** Whether a person can be expected in front of this process (stderr is a terminal). */
  readonly attended: boolean
  /** `LATCHKEY_DEBUG=1`. */
  readonly debug: boolean
  /** Writes events where a developer looks. */
  readonly debugListener: EventListener
  /** Hears every event, for the tools that observe a runtime (`node:diagnostics_channel`). */
  readonly diagnostics?: EventListener
}
