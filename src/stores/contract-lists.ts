import type { CredentialKey, CredentialStore } from '../ports.ts'
import {
  type CaseBody,
  type ContractCase,
  contractCase,
  expectEqual,
  type StoreUnderTest,
} from './contract-check.ts'
import { recordOf, registrations, tokens } from './contract-samples.ts'

const OTHER = 'other.example.com'

const KEYS = {
  plain: tokens(),
  client: tokens({ client: 'client-1' }),
  jane: tokens({ account: 'jane' }),
  joe: tokens({ account: 'joe', serverDomain: OTHER }),
  named: tokens({ account: 'null' }),
  other: tokens({ serverDomain: OTHER }),
  registration: registrations('https://as.example.com'),
  janes: registrations('https://as.example.com', 'jane'),
} as const

type Name = keyof typeof KEYS

/** A listing gives all that passes its filter, and nothing else. */
export function listCases(test: StoreUnderTest): ContractCase[] {
  return [
    filtered('list by kind', test, { kind: 'tokens' }, ['plain', 'client', 'jane', 'joe', 'named', 'other']),
    filtered('list by kind: registrations', test, { kind: 'registrations' }, ['registration', 'janes']),
    filtered('list by account', test, { kind: 'tokens', account: 'jane' }, ['jane']),
    filtered('list by the unnamed account', test, { kind: 'tokens', account: null }, [
      'plain',
      'client',
      'other',
    ]),
    filtered('list by an account named null', test, { kind: 'tokens', account: 'null' }, ['named']),
    filtered('list by domain', test, { kind: 'tokens', serverDomain: OTHER }, ['joe', 'other']),
    filtered(
      'list by domain and account',
      test,
      { kind: 'tokens', serverDomain: 'mcp.example.com', account: null },
      ['plain', 'client'],
    ),
    filtered('list of what is not there', test, { kind: 'tokens', serverDomain: 'absent.example.com' }, []),
    contractCase('what was deleted or replaced is not listed twice', test, replaced),
    contractCase('a list of more than a thousand records is whole', test, manyRecords),
  ]
}

function filtered(
  name: string,
  test: StoreUnderTest,
  filter: Parameters<CredentialStore['list']>[0],
  expected: readonly Name[],
): ContractCase {
  return contractCase(name, test, async (store) => {
    for (const key of Object.values(KEYS)) await store.write(key, recordOf(key))
    const stored = await store.list(filter)
    expectEqual(namesOf(stored.map(({ key }) => key)), [...expected].sort(), 'listed records')
    for (const one of stored) expectEqual(await store.read(one.key), one, 'a read by the listed key')
  })
}

function namesOf(keys: readonly CredentialKey[]): string[] {
  const text = (key: CredentialKey): string =>
    JSON.stringify([key.kind, key.serverDomain, key.account, Object.entries(key.identity).sort()])
  const names = new Map(Object.entries(KEYS).map(([name, key]) => [text(key), name]))
  return keys.map((key) => names.get(text(key)) ?? text(key)).sort()
}

const replaced: CaseBody = async (store) => {
  await store.write(KEYS.plain, recordOf(KEYS.plain, 'first'))
  await store.write(KEYS.plain, recordOf(KEYS.plain, 'second'))
  await store.write(KEYS.client, recordOf(KEYS.client))
  await store.delete(KEYS.client)
  const stored = await store.list({ kind: 'tokens' })
  expectEqual(
    stored.map(({ record }) => record.access_token),
    ['second'],
    'listed tokens',
  )
}

const manyRecords: CaseBody = async (store) => {
  const count = 1100
  const url = (number: number): string => `https://mcp.example.com/${number}`
  // All in few documents, for stores that have documents; and not one after the other, for those that have a network.
  for (let from = 0; from < count; from += 100) {
    await Promise.all(
      Array.from({ length: 100 }, async (_, number) => {
        const key = tokens({ url: url(from + number), account: `account ${from + number}` })
        await store.write(key, recordOf(key))
      }),
    )
  }
  const stored = await store.list({ kind: 'tokens', serverDomain: 'mcp.example.com' })
  expectEqual(new Set(stored.map(({ key }) => key.identity.server_url)).size, count, 'different records')
  expectEqual(stored.length, count, 'listed records')
}
