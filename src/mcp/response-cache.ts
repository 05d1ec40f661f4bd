import type { Client } from '@modelcontextprotocol/client'

type ResponseCacheStore = NonNullable<
  NonNullable<ConstructorParameters<typeof Client>[1]>['responseCacheStore']
>
type Key = Parameters<ResponseCacheStore['get']>[0]
type Held = Parameters<ResponseCacheStore['set']>[1] & { readonly stamp: number }

/** How many results are kept; the oldest goes first. */
const LIMIT = 512

/**
 * The results that a 2026-07-28 server lets a client keep (`ttlMs`), for as long as the same caller stands before it: a
 * list from before a sign-in must not be served after it (SEP-2549: never shared across authorization contexts).
 */
export class ResponseCache implements ResponseCacheStore {
  readonly #context: () => string
  readonly #held = new Map<string, Held>()
  #heldFor = ''
  #stamp = 0

  /** @param context names the connection and the login; another name empties the cache */
  constructor(context: () => string) {
    this.#context = context
  }

  get(key: Key): Held | undefined {
    return this.#current().get(nameOf(key))
  }

  set(key: Key, entry: Parameters<ResponseCacheStore['set']>[1]): number {
    const held = this.#current()
    const name = nameOf(key)
    held.delete(name)
    for (const oldest of held.keys()) {
      if (held.size < LIMIT) break
      held.delete(oldest)
    }
    this.#stamp += 1
    held.set(name, { ...entry, stamp: this.#stamp })
    return this.#stamp
  }

  delete(key: Key): void {
    this.#held.delete(nameOf(key))
  }

  evict(method: string): void {
    for (const name of this.#held.keys()) {
      if ((JSON.parse(name) as string[])[0] === method) this.#held.delete(name)
    }
  }

  clear(): void {
    this.#held.clear()
  }

  #current(): Map<string, Held> {
    const context = this.#context()
    if (context !== this.#heldFor) this.#held.clear()
    this.#heldFor = context
    return this.#held
  }
}

function nameOf({ method, params, partition }: Key): string {
  return JSON.stringify([method, params ?? '', partition ?? ''])
}
