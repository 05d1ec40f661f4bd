import type { CredentialStore, Lease } from '../ports.ts'
import {
  type CaseBody,
  type ContractCase,
  contractCase,
  expectEqual,
  expectTrue,
  type StoreUnderTest,
  within,
} from './contract-check.ts'
import { recordOf, tokens } from './contract-samples.ts'

const WORKERS = 4
const ROUNDS = 10

/** The lock of a key: one at a time, nobody for ever. */
export function lockCases(test: StoreUnderTest): ContractCase[] {
  return [
    contractCase('lock: one at a time for a key', test, exclusive),
    contractCase('lock: other keys do not wait', test, otherKeys),
    contractCase('lock: reading and writing need none', test, readsAndWrites),
    contractCase('lock: held until it is released, and not after', test, heldUntilReleased),
    contractCase('lock: releasing twice is releasing once', test, releasedTwice),
    contractCase('lock: waiting ends with the reason of the signal', test, abortedWait),
    contractCase('lock: a signal that came before ends it at once', test, abortedBefore),
    contractCase('lock: who gave up waiting does not hold it later', test, gaveUp),
    contractCase('lock: no update is lost under it', test, noLostUpdate),
    ...(test.connect
      ? [
          contractCase('two processes: what one writes the other reads', test, sharedMedium),
          contractCase('two processes: one lock at a time', test, exclusiveBetween),
        ]
      : []),
    ...(test.abandon
      ? [contractCase('two processes: the lock of a dead one comes free', test, takenOver)]
      : []),
  ]
}

/** Never with a limit of time: a busy machine must not make a broken lock look right, nor a right one broken. */
async function expectExclusive(one: CredentialStore, other: CredentialStore): Promise<void> {
  const key = tokens()
  const lease = await one.lock(key)
  let isSecondIn = false
  const second = other.lock(key).then((held) => {
    isSecondIn = true
    return held
  })
  // Long enough for a lock that does not wait: several round trips of the store.
  for (let trip = 0; trip < 5; trip++) await other.read(key)
  await new Promise((resolve) => setTimeout(resolve, 100))
  const wasAlone = !isSecondIn
  expectTrue(await lease.isHeld(), 'the first holder lost its lock to one that waits')
  await lease.release()
  const held = await within(10_000, 'the second did not get the lock that was released', second)
  expectTrue(await held.isHeld(), 'the second holder does not hold it')
  await held.release()
  expectTrue(wasAlone, 'two held the lock of one key at once')
}

const exclusive: CaseBody = (store) => expectExclusive(store, store)

const exclusiveBetween: CaseBody = async (store, test) => {
  const other = await test.connect!(store)
  await expectExclusive(store, other)
  await expectExclusive(other, store)
}

const otherKeys: CaseBody = async (store) => {
  const lease = await store.lock(tokens())
  for (const key of [
    tokens({ client: 'client-1' }),
    tokens({ account: 'jane' }),
    tokens({ account: 'null' }),
    tokens({ url: 'https://mcp.example.com/other' }),
  ]) {
    const other = await within(10_000, `another key had to wait: ${JSON.stringify(key)}`, store.lock(key))
    await other.release()
  }
  await lease.release()
}

const readsAndWrites: CaseBody = async (store) => {
  const key = tokens()
  const lease = await store.lock(key)
  await within(10_000, 'a write waited for the lock', store.write(key, recordOf(key)))
  await within(10_000, 'a delete waited for the lock', store.delete(key))
  await lease.release()
}

const heldUntilReleased: CaseBody = async (store) => {
  const lease = await store.lock(tokens())
  expectTrue(await lease.isHeld(), 'a lock is not held that was just given')
  expectTrue(await lease.isHeld(), 'asking whether it is held ended it')
  await lease.release()
  expectTrue(!(await lease.isHeld()), 'it is still held after its release')
  const next = await within(10_000, 'the next did not get it', store.lock(tokens()))
  expectTrue(!(await lease.isHeld()), 'the first holds what is somebody else’s now')
  await next.release()
}

const releasedTwice: CaseBody = async (store) => {
  const first = await store.lock(tokens())
  await first.release()
  const second = await within(10_000, 'the second did not get it', store.lock(tokens()))
  await first.release()
  expectTrue(await second.isHeld(), 'the second release of the first holder ended the lock of the second')
  await second.release()
}

const abortedWait: CaseBody = async (store) => {
  const lease = await store.lock(tokens())
  const controller = new AbortController()
  const waiting = rejectionOf(store.lock(tokens(), { signal: controller.signal }))
  const reason = new Error('cancelled by the person')
  controller.abort(reason)
  const error = await within(5000, 'waiting did not end with the signal', waiting)
  expectTrue(error === reason, `it ended with ${String(error)} instead of the reason of the signal`)
  await lease.release()
  await (await within(10_000, 'the lock stayed taken', store.lock(tokens()))).release()
}

const abortedBefore: CaseBody = async (store) => {
  const reason = new Error('cancelled before')
  const error = await rejectionOf(store.lock(tokens(), { signal: AbortSignal.abort(reason) }))
  expectTrue(error === reason, `it ended with ${String(error)} instead of the reason of the signal`)
  await (await within(10_000, 'the lock stayed taken', store.lock(tokens()))).release()
}

const gaveUp: CaseBody = async (store, test) => {
  const other = (await test.connect?.(store)) ?? store
  const lease = await store.lock(tokens())
  const controller = new AbortController()
  const waiting = rejectionOf(other.lock(tokens(), { signal: controller.signal }))
  controller.abort(new Error('gave up'))
  await within(5000, 'waiting did not end with the signal', waiting)
  await lease.release()
  // Shorter than a lease: one that leaked would come free by itself.
  const next = await within(3000, 'it was given to one that no longer waits', store.lock(tokens()))
  expectTrue(await next.isHeld(), 'the next holder does not hold it')
  await next.release()
}

const noLostUpdate: CaseBody = async (store, test) => {
  const key = tokens()
  const stores = [store, (await test.connect?.(store)) ?? store]
  await store.write(key, { ...recordOf(key), count: 0 })
  const work = async (worker: number): Promise<void> => {
    const mine = stores[worker % stores.length]!
    for (let round = 0; round < ROUNDS; round++) {
      const lease = await mine.lock(key)
      const { record } = (await mine.read(key))!
      await mine.write(key, { ...record, count: Number(record.count) + 1 })
      await lease.release()
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)))
  expectEqual((await store.read(key))?.record.count, WORKERS * ROUNDS, 'the count')
}

const sharedMedium: CaseBody = async (store, test) => {
  const other = await test.connect!(store)
  const key = tokens({ account: 'jane' })
  const written = await store.write(key, recordOf(key))
  expectEqual(await other.read(key), written, 'what the other reads')
  expectEqual(await other.list({ kind: 'tokens' }), [written], 'what the other lists')
  await other.delete(key, { ifRevision: written.revision })
  expectEqual(await store.read(key), undefined, 'what the first reads after the other deleted it')
}

const takenOver: CaseBody = async (store, test) => {
  const key = tokens()
  await test.abandon!(store, key)
  const lease: Lease = await within(10_000, 'the lock of a dead holder did not come free', store.lock(key))
  expectTrue(await lease.isHeld(), 'who took it over does not hold it')
  await lease.release()
}

async function rejectionOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
  } catch (error) {
    return error
  }
  return 'no error'
}
