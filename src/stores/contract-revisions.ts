import type { StoredRecord } from '../ports.ts'
import {
  type CaseBody,
  type ContractCase,
  contractCase,
  expectEqual,
  expectRejection,
  expectTrue,
  type StoreUnderTest,
} from './contract-check.ts'
import { recordOf, tokens } from './contract-samples.ts'

const CONFLICT = 'store_conflict'
const WRITERS = 8

/** Compare-and-swap: nobody replaces or deletes what they have not seen. */
export function revisionCases(test: StoreUnderTest): ContractCase[] {
  return [
    contractCase('write with a revision replaces that revision only', test, conditionalWrite),
    contractCase('write with revision null is for what is not there', test, writeOfNew),
    contractCase('delete with a revision deletes that revision only', test, conditionalDelete),
    contractCase('of many writers that saw the same revision one wins', test, oneWinner),
    contractCase('of many writers of a new record one wins', test, oneCreator),
  ]
}

const conditionalWrite: CaseBody = async (store) => {
  const key = tokens()
  await expectRejection(
    store.write(key, recordOf(key), { ifRevision: 'none' }),
    CONFLICT,
    'a revision of nothing',
  )
  const first = await store.write(key, recordOf(key, 'first'))
  const second = await store.write(key, recordOf(key, 'second'), { ifRevision: first.revision })
  const late = store.write(key, recordOf(key, 'late'), { ifRevision: first.revision })
  await expectRejection(late, CONFLICT, 'a write over a revision that is gone')
  expectEqual(await store.read(key), second, 'the record after the conflict')
}

const writeOfNew: CaseBody = async (store) => {
  const key = tokens()
  const first = await store.write(key, recordOf(key, 'first'), { ifRevision: null })
  await expectRejection(store.write(key, recordOf(key), { ifRevision: null }), CONFLICT, 'a second one')
  expectEqual(await store.read(key), first, 'the record after the conflict')
}

const conditionalDelete: CaseBody = async (store) => {
  const key = tokens()
  const first = await store.write(key, recordOf(key, 'first'))
  const second = await store.write(key, recordOf(key, 'second'))
  await expectRejection(store.delete(key, { ifRevision: first.revision }), CONFLICT, 'an older revision')
  expectEqual(await store.read(key), second, 'the record after the conflict')
  await store.delete(key, { ifRevision: second.revision })
  expectEqual(await store.read(key), undefined, 'the record after the delete')
}

const oneWinner: CaseBody = async (store, test) => {
  const key = tokens()
  const { revision } = await store.write(key, recordOf(key))
  await expectOneWinner(store, test, { ifRevision: revision })
}

const oneCreator: CaseBody = (store, test) => expectOneWinner(store, test, { ifRevision: null })

async function expectOneWinner(
  store: Parameters<CaseBody>[0],
  test: StoreUnderTest,
  condition: { ifRevision: string | null },
): Promise<void> {
  const key = tokens()
  const other = (await test.connect?.(store)) ?? store
  const results = await Promise.allSettled(
    Array.from({ length: WRITERS }, (_, writer) =>
      (writer % 2 ? other : store).write(key, recordOf(key, `of writer ${writer}`), condition),
    ),
  )
  const won: StoredRecord[] = []
  for (const result of results) {
    if (result.status === 'fulfilled') won.push(result.value)
    else await expectRejection(Promise.reject(result.reason), CONFLICT, 'who was too late')
  }
  expectEqual(won.length, 1, 'writers that succeeded')
  const stored = await other.read(key)
  expectTrue(stored?.revision === won[0]?.revision, 'the stored record is not that of the winner')
}
