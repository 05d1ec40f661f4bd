import { beforeEach, describe, expect, test } from 'vitest'
import { createManualClock } from '../../test/fixtures/manual-clock.ts'
import { createShiftedClock, type ShiftedClock } from '../../test/fixtures/shifted-clock.ts'
import { failureOf } from '../../test/fixtures/workbench.ts'
import type { LatchkeyEvent } from '../events.ts'
import { SignInQueue, type Turn } from './sign-in-queue.ts'

let clock: ShiftedClock
let queue: SignInQueue
let events: LatchkeyEvent[]
let running: string[]
beforeEach(() => {
  clock = createShiftedClock()
  queue = new SignInQueue(clock)
  events = []
  running = []
})

/** A sign-in that a test ends by hand. */
function person(name: string) {
  let allow: (value: string) => void = () => {}
  let deny: (error: Error) => void = () => {}
  const answer = new Promise<string>((resolve, reject) => {
    allow = resolve
    deny = reject
  })
  let ended: AbortSignal | undefined
  const perform = (signal: AbortSignal, turn: Turn) =>
    turn(async () => {
      running.push(name)
      ended = signal
      signal.addEventListener('abort', () => deny(signal.reason))
      try {
        return await answer
      } finally {
        running.splice(running.indexOf(name), 1)
      }
    })
  const ask = (signal?: AbortSignal) =>
    queue.run({
      identity: name,
      server: name,
      emit: (event) => void events.push(event),
      perform,
      ...(signal && { signal }),
    })
  return { ask, allow, deny, signal: () => ended }
}

describe('whose turn it is', () => {
  test('one at a time, in the order of asking; whoever waits is told how many come before', async () => {
    const [alice, bob, carol] = [person('alice'), person('bob'), person('carol')]
    const outcomes = Promise.allSettled([alice.ask(), bob.ask(), carol.ask()])
    await expect.poll(() => running).toEqual(['alice'])
    alice.allow('a')
    await expect.poll(() => running).toEqual(['bob'])
    bob.deny(new Error('no'))
    await expect.poll(() => running).toEqual(['carol'])
    carol.allow('c')
    expect((await outcomes).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(events).toEqual([
      { type: 'sign_in_queued', server: 'bob', ahead: 1 },
      { type: 'sign_in_queued', server: 'carol', ahead: 2 },
    ])
  })

  test('who is not ready for the person keeps nobody waiting for longer than 3 s', async () => {
    const manual = createManualClock()
    queue = new SignInQueue(manual)
    const [bob, carol] = [person('bob'), person('carol')]
    // Its authorization server never answers.
    const hung = queue.run({
      identity: 'hung',
      server: 'hung',
      emit: () => {},
      perform: () => new Promise(() => {}),
    })
    hung.catch(() => {})
    const outcomes = [bob.ask(), carol.ask()]
    await expect.poll(() => manual.delays).toHaveLength(2)
    expect(running).toEqual([])
    await manual.elapse((delay) => delay === 3_000)
    await expect.poll(() => running).toEqual(['bob'])
    bob.allow('b')
    await manual.elapse((delay) => delay === 3_000)
    await expect.poll(() => running).toEqual(['carol'])
    carol.allow('c')
    expect(await Promise.all(outcomes)).toEqual(['b', 'c'])
  })

  test('all who ask for one identity share one sign-in', async () => {
    const alice = person('alice')
    const outcomes = [alice.ask(), alice.ask(), alice.ask()]
    await expect.poll(() => running).toEqual(['alice'])
    alice.allow('tokens')
    expect(await Promise.all(outcomes)).toEqual(['tokens', 'tokens', 'tokens'])
    expect(queue.completed('alice')).toBe(1)
  })
})

describe('giving up', () => {
  test('one of several who wait does not end the sign-in for the others; the last one does', async () => {
    const alice = person('alice')
    const [first, second] = [new AbortController(), new AbortController()]
    const outcomes = [failureOf(alice.ask(first.signal)), failureOf(alice.ask(second.signal))]
    await expect.poll(() => running).toEqual(['alice'])
    first.abort()
    expect(await outcomes[0]).toMatchObject({ name: 'AbortError' })
    expect(alice.signal()!.aborted).toBe(false)
    second.abort()
    await outcomes[1]
    expect(alice.signal()!.aborted).toBe(true)
  })

  test('whoever asks while a sign-in is being given up gets one of their own, after it', async () => {
    let unwind: () => void = () => {}
    const unwound = new Promise<void>((resolve) => {
      unwind = resolve
    })
    const abort = new AbortController()
    const identity = 'alice'
    const emit = () => {}
    const perform = (signal: AbortSignal) => unwound.then(() => signal.throwIfAborted())
    const outcome = failureOf(queue.run({ identity, server: identity, emit, perform, signal: abort.signal }))
    abort.abort()
    await outcome

    const again = person('alice')
    const second = again.ask()
    again.allow('tokens')
    expect(running).toEqual([])
    unwind()
    expect(await second).toBe('tokens')
  })

  test('before its turn: nobody is asked, the others go on, and nothing cools down', async () => {
    const [alice, bob, carol] = [person('alice'), person('bob'), person('carol')]
    const abort = new AbortController()
    const first = alice.ask()
    const given = failureOf(bob.ask(abort.signal))
    const third = carol.ask()
    abort.abort()
    await given
    alice.allow('a')
    carol.allow('c')
    expect(await Promise.all([first, third])).toEqual(['a', 'c'])
    expect(bob.signal()).toBeUndefined()
    expect(queue.isCoolingDown('bob')).toBe(false)
  })
})

describe('after a sign-in', () => {
  test('that failed, its identity cools down for 60 s; the others do not', async () => {
    const alice = person('alice')
    const outcome = failureOf(alice.ask())
    alice.deny(new Error('no'))
    await outcome
    expect(queue.isCoolingDown('alice')).toBe(true)
    expect(queue.isCoolingDown('bob')).toBe(false)
    clock.pass(60_000)
    expect(queue.isCoolingDown('alice')).toBe(false)
  })

  test('that succeeded, the cool-down is over', async () => {
    queue.coolDown('alice')
    const alice = person('alice')
    alice.allow('tokens')
    await alice.ask()
    expect(queue.isCoolingDown('alice')).toBe(false)
  })
})
