import type { HttpServerConfig } from '../src/config/input.ts'
import type { StoreAddress } from './campaign-stores.ts'
import { type StoreChild, startStoreChild } from './store-program.ts'

/**
 * Moments of a refresh at which a child can be held: the lock is taken and nothing read yet; the old token is read and the
 * lock about to be checked; all is checked and the request about to be sent; the server said to come back later; the answer
 * is there and nothing written.
 */
export type Gate = 'locked' | 'checking' | 'sending' | 'put off' | 'answered'

export interface CampaignWork {
  server: HttpServerConfig
  store: StoreAddress
  /** How far its clock is ahead, in milliseconds. */
  ahead?: number
  /** Stops there once, says so, and waits for `go`. */
  gate?: Gate | undefined
}

/** What became of so many calls made at once. */
export interface Called {
  /** What each call brought: the name of the caller, or the code of its error. */
  said: string[]
  /** Milliseconds for all of them. */
  took: number
  /** Milliseconds that each lock was waited for. */
  lockWaits: number[]
}

export type CampaignAnswer = 'ready' | Called | { at: Gate } | { passed: number }

/** A process of the campaign, with what can be asked of it. */
export interface CampaignChild {
  readonly process: StoreChild['process']
  readonly ended: StoreChild['ended']
  readonly ready: Promise<unknown>
  call(count?: number): Promise<Called>
  /** Lets time pass for this process alone. */
  pass(milliseconds: number): Promise<unknown>
  /** Makes a call that stands at the gate; resolves when it does. */
  callUntilGate(): Promise<unknown>
  /** Opens the gate; resolves with what became of the call. */
  go(): Promise<Called>
}

export function startCampaignChild(program: string, work: CampaignWork): CampaignChild {
  const child = startStoreChild(program, [JSON.stringify(work)])
  const ready = child.next()
  // A child may be killed before it is ready.
  ready.catch(() => {})
  const ask = async (line: string): Promise<unknown> => {
    await ready
    return child.ask(line)
  }
  return {
    process: child.process,
    ended: child.ended,
    ready,
    call: (count = 1) => ask(`call ${count}`) as Promise<Called>,
    pass: (milliseconds) => ask(`pass ${milliseconds}`),
    callUntilGate: () => ask('call 1'),
    go: () => ask('go') as Promise<Called>,
  }
}
