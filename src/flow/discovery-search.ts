import { type DiscoveryAttempt, NetworkFailedError } from '../errors/index.ts'
import type { Answer } from '../oauth/answer.ts'
import {
  assertResourceCovers,
  processResourceMetadata,
  type ResourceMetadata,
  requestResourceMetadata,
} from '../oauth/resource-metadata.ts'
import {
  type NeededEndpoints,
  processServerMetadata,
  requestServerMetadata,
  type ServerMetadata,
  serverMetadataUrls,
} from '../oauth/server-metadata.ts'
import type { FlowContext } from './context.ts'

/** What the person said may be wrong with a document. */
interface Acceptance {
  /** Server metadata without a word of PKCE. */
  readonly missingPkce: boolean
}

/** So many authorization servers of one resource are asked: each costs up to three requests. */
const MOST_SERVERS = 8

/** Each of these documents may be one of many, and somebody waits for all of them. */
const RETRY_AFTER_LIMIT = 5_000

/** Asks candidates one after the other and keeps the record of it. */
export class DiscoverySearch {
  readonly attempts: DiscoveryAttempt[] = []
  readonly #context: FlowContext
  readonly #accept: Acceptance
  readonly #needed: NeededEndpoints | undefined

  /** @param needed without these a document is none; default what a person's sign-in needs */
  constructor(context: FlowContext, accept: Acceptance, needed?: NeededEndpoints) {
    this.#context = context
    this.#accept = accept
    this.#needed = needed
  }

  async firstResource(urls: readonly string[], serverUrl: string): Promise<ResourceMetadata | undefined> {
    for (const url of urls) {
      const answer = await this.#ask(url, requestResourceMetadata)
      const metadata = processResourceMetadata(answer)
      this.#note(answer, metadata ? 'protected resource metadata' : undefined)
      if (!metadata) continue
      assertResourceCovers(metadata.resource, serverUrl)
      this.#tell(answer.url, metadata)
      return metadata
    }
    return undefined
  }

  async firstServer(issuers: readonly string[]): Promise<ServerMetadata | undefined> {
    for (const issuer of issuers.slice(0, MOST_SERVERS)) {
      const metadata = await this.#server(serverMetadataUrls(issuer), () => issuer)
      if (metadata) return metadata
    }
    return undefined
  }

  /** No document named the issuer here, so both spellings of the origin are what we asked for. */
  originServer(serverUrl: string): Promise<ServerMetadata | undefined> {
    const { origin } = new URL(serverUrl)
    return this.#server(serverMetadataUrls(origin), ({ members }) =>
      members?.issuer === `${origin}/` ? `${origin}/` : origin,
    )
  }

  /** Whether something is there. What it says to a request without parameters, 500 included, tells nothing. */
  async exists(url: string): Promise<boolean> {
    const answer = await this.#request(url, requestServerMetadata)
    const exists = answer.status !== 404 && answer.status !== 410
    this.#note(answer, exists ? 'authorization endpoint' : undefined)
    return exists
  }

  async #server(
    urls: readonly string[],
    issuerOf: (answer: Answer) => string,
  ): Promise<ServerMetadata | undefined> {
    let silent: ServerMetadata | undefined
    for (const url of urls) {
      const answer = await this.#ask(url, requestServerMetadata)
      const metadata = await processServerMetadata(answer, issuerOf(answer), this.#needed)
      this.#note(answer, metadata ? 'authorization server metadata' : undefined)
      if (!metadata) continue
      // The other document of the same issuer may say what this one leaves out.
      if (metadata.code_challenge_methods_supported || this.#accept.missingPkce) return metadata
      silent ??= metadata
    }
    return silent
  }

  async #ask(url: string, request: typeof requestServerMetadata): Promise<Answer> {
    const answer = await this.#request(url, request)
    if (answer.status < 500 && answer.status !== 429) return answer
    // "Not now" is not "not there": another candidate could belong to somebody else.
    throw new NetworkFailedError({
      message: `${answer.url} answered HTTP ${answer.status}.`,
      remedy: 'Try again later; nothing stored was changed.',
      url: answer.url,
      status: answer.status,
    })
  }

  #request(url: string, request: typeof requestServerMetadata): Promise<Answer> {
    const { fetch, signal } = this.#context
    return request(fetch('discovery', { retryAfterLimit: RETRY_AFTER_LIMIT }), url, signal)
  }

  #tell(url: string, { resource, authorization_servers, scopes_supported }: ResourceMetadata): void {
    const { emit, server } = this.#context
    emit({
      type: 'resource_metadata_found',
      server,
      url,
      resource,
      authorization_servers,
      ...(scopes_supported && { scopes_supported }),
    })
  }

  #note({ url, status, contentType, ok, members }: Answer, found: string | undefined): void {
    const outcome = found ?? (!ok ? 'not there' : members ? 'not such a document' : 'not JSON')
    this.attempts.push({ url, status, contentType, outcome })
  }
}
