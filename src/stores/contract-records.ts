import type { CredentialKey } from '../ports.ts'
import {
  type CaseBody,
  type ContractCase,
  contractCase,
  expectEqual,
  expectRejection,
  expectTrue,
  type StoreUnderTest,
} from './contract-check.ts'
import { HOSTILE_ACCOUNTS, OTHERS, recordOf, tokens } from './contract-samples.ts'

/** What goes in comes out, whole, under its own key and no other. */
export function recordCases(test: StoreUnderTest): ContractCase[] {
  return [
    contractCase('what is written is what is read', test, roundTrip),
    contractCase('every write has a new revision', test, newRevisions),
    contractCase('what is deleted is gone, and deleting what is absent is fine', test, deletion),
    contractCase('a revision that stands in a record is not stored with it', test, strayRevision),
    contractCase('records go in and come out as copies', test, copies),
    ...OTHERS.map(([what, other]) =>
      contractCase(`another ${what} is another record`, test, (store) => apart(store, other)),
    ),
    contractCase('hostile names are plain names in an account', test, hostileNames),
    contractCase('a big record is a record', test, bigRecord),
    contractCase('preparing for a write changes nothing', test, preparation),
    contractCase('a key without its whole identity is a TypeError', test, halfIdentity),
    contractCase('a record that its key would not find again is a TypeError', test, strangeRecord),
  ]
}

const roundTrip: CaseBody = async (store) => {
  const key = tokens()
  expectEqual(await store.read(key), undefined, 'a read before any write')
  const record = {
    ...recordOf(key),
    scope: null,
    deep: { list: [1, 'two', { three: false }] },
    text: 'ü💥\n"',
  }
  const written = await store.write(key, record)
  expectEqual(written.record, record, 'what write returns')
  expectEqual(written.key, key, 'the key that write returns')
  expectEqual(await store.read(key), written, 'what is read after it')
}

const newRevisions: CaseBody = async (store) => {
  const key = tokens()
  const seen = new Set<string>()
  for (let time = 0; time < 5; time++) seen.add((await store.write(key, recordOf(key))).revision)
  expectEqual(seen.size, 5, 'different revisions of five writes of the same')
  const stored = await store.read(key)
  expectEqual(stored?.revision, [...seen].at(-1), 'the revision that is read')
  await store.delete(key)
  const again = await store.write(key, recordOf(key))
  expectTrue(!seen.has(again.revision), 'a revision came back after its record was deleted')
}

const deletion: CaseBody = async (store) => {
  const key = tokens()
  await store.delete(key)
  await store.write(key, recordOf(key))
  await store.delete(key)
  expectEqual(await store.read(key), undefined, 'a read after the delete')
  await store.delete(key, { ifRevision: 'of what is gone' })
}

const strayRevision: CaseBody = async (store) => {
  const key = tokens()
  await store.write(key, { ...recordOf(key), revision: 'mine' })
  expectEqual((await store.read(key))?.record, recordOf(key), 'the record')
}

const copies: CaseBody = async (store) => {
  const key = tokens()
  const given = { ...recordOf(key), list: ['a'] }
  const written = await store.write(key, given)
  given.list.push('changed after the write')
  ;(written.record.list as string[]).push('changed in what write returned')
  const read = (await store.read(key))!
  ;(read.record.list as string[]).push('changed in what read returned')
  const listed = (await store.list({ kind: 'tokens' }))[0]!
  ;(listed.record.list as string[]).push('changed in what list returned')
  expectEqual((await store.read(key))?.record.list, ['a'], 'the stored list')
}

const apart = async (store: Parameters<CaseBody>[0], other: CredentialKey): Promise<void> => {
  const key = tokens()
  await store.write(key, recordOf(key, 'of one'))
  expectEqual(await store.read(other), undefined, 'the other, before it is written')
  await store.write(other, recordOf(other, 'of the other'))
  expectEqual((await store.read(key))?.record.access_token, 'of one', 'the one, after the other was written')
  expectEqual((await store.read(other))?.record.access_token, 'of the other', 'the other')
  await store.delete(other)
  expectEqual((await store.read(key))?.record.access_token, 'of one', 'the one, after the other was deleted')
  expectEqual(await store.read(other), undefined, 'the other, after it was deleted')
}

const hostileNames: CaseBody = async (store) => {
  for (const account of HOSTILE_ACCOUNTS) {
    const key = tokens({ account })
    await store.write(key, recordOf(key, `of ${account}`))
  }
  for (const account of HOSTILE_ACCOUNTS) {
    const stored = await store.read(tokens({ account }))
    expectEqual(stored?.record.access_token, `of ${account}`, `the record of ${JSON.stringify(account)}`)
  }
  const all = await store.list({ kind: 'tokens' })
  expectEqual(all.length, HOSTILE_ACCOUNTS.length, 'listed records')
  for (const { key, record } of all) {
    expectEqual(
      record.access_token,
      `of ${key.account}`,
      `the listed record of ${JSON.stringify(key.account)}`,
    )
  }
}

const bigRecord: CaseBody = async (store) => {
  const key = tokens()
  const record = recordOf(key, 'ü'.repeat(100_000))
  await store.write(key, record)
  expectEqual((await store.read(key))?.record, record, 'a record of 200 KB')
}

const preparation: CaseBody = async (store) => {
  const key = tokens()
  await store.prepare?.(key)
  expectEqual(await store.read(key), undefined, 'a read after it')
  const written = await store.write(key, recordOf(key))
  await store.prepare?.(key)
  expectEqual(await store.read(key), written, 'the record after it')
  expectEqual(await store.list({ kind: 'tokens' }), [written], 'what is listed after it')
}

const halfIdentity: CaseBody = async (store) => {
  const key = tokens()
  const half = { ...key, identity: { server_url: 'https://mcp.example.com/mcp' } }
  await expectRejection(store.read(half), TypeError, 'read')
  await expectRejection(store.delete(half), TypeError, 'delete')
  const more = { ...key, identity: { ...key.identity, more: 'x' } }
  await expectRejection(store.lock(more), TypeError, 'lock')
}

const strangeRecord: CaseBody = async (store) => {
  const key = tokens()
  await expectRejection(store.write(key, { access_token: 'x' }), TypeError, 'without the identity')
  const ofOther = { ...recordOf(key), account: 'jane' }
  await expectRejection(store.write(key, ofOther), TypeError, 'of another account')
  expectEqual(await store.read(key), undefined, 'what was stored of it')
}
