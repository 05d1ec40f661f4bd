/** `latchkey/store-contract`: what every {@link CredentialStore} has to do, as cases for any test runner. */
import type { ContractCase, StoreUnderTest } from './contract-check.ts'
import { listCases } from './contract-lists.ts'
import { lockCases } from './contract-locks.ts'
import { recordCases } from './contract-records.ts'
import { revisionCases } from './contract-revisions.ts'

export type { CredentialKey, CredentialStore, JsonObject, Lease, StoredRecord } from '../ports.ts'
export { type ContractCase, ContractViolation, type StoreUnderTest } from './contract-check.ts'

/**
 * The cases of a store. Each makes a new store, and may run beside the others.
 *
 * @example
 * for (const { name, run } of storeContract({ create: () => new MyStore() })) test(name, run)
 */
export function storeContract(store: StoreUnderTest): ContractCase[] {
  return [...recordCases(store), ...revisionCases(store), ...listCases(store), ...lockCases(store)]
}
