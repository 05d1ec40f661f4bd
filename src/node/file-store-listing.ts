import type { CredentialStore } from '../ports.ts'
import type { StoreFolder } from './store-folder.ts'
import {
  accountsFolder,
  type DocumentLocation,
  documentLocation,
  domainOfFile,
  domainOfName,
  kindFolder,
  namedDocument,
} from './store-folder-layout.ts'

type Filter = Parameters<CredentialStore['list']>[0]

/** Files (for the unnamed account) and folders (for named ones) of a domain. */
interface Domain {
  hasFile: boolean
  hasFolder: boolean
}

/**
 * Every place where a document that passes the filter may be, in the order of domains. Whether a file is one of ours is
 * for its reader to find out. A folder that cannot be listed goes to `skip` and keeps none of the others from the list.
 */
export async function* listDocuments(
  folder: StoreFolder,
  filter: Filter,
  skip: (path: string, error: unknown) => void,
): AsyncGenerator<DocumentLocation> {
  const { kind, account } = filter
  const root = kindFolder(folder.home, kind)
  if (filter.serverDomain !== undefined && account !== undefined) {
    yield documentLocation(folder.home, { kind, serverDomain: filter.serverDomain, account })
    return
  }
  if (!(await folder.exists(root))) return

  for (const [serverDomain, { hasFile, hasFolder }] of await findDomains(folder, filter)) {
    if (account !== undefined) {
      if (account === null ? hasFile : hasFolder) {
        yield documentLocation(folder.home, { kind, serverDomain, account })
      }
      continue
    }
    if (hasFile) yield documentLocation(folder.home, { kind, serverDomain, account: null })
    if (hasFolder) yield* namedAccounts(folder, { kind, serverDomain }, skip)
  }
}

async function findDomains(folder: StoreFolder, { kind, serverDomain }: Filter): Promise<[string, Domain][]> {
  const domains = new Map<string, Domain>()
  for (const { name, isFolder } of await folder.entries(kindFolder(folder.home, kind))) {
    const domain = isFolder ? domainOfName(name) : domainOfFile(kind, name)
    if (domain === undefined) continue
    if (serverDomain !== undefined && domain !== serverDomain) continue
    const found = domains.get(domain) ?? { hasFile: false, hasFolder: false }
    if (isFolder) found.hasFolder = true
    else found.hasFile = true
    domains.set(domain, found)
  }
  return [...domains].sort(([a], [b]) => (a < b ? -1 : 1))
}

async function* namedAccounts(
  folder: StoreFolder,
  { kind, serverDomain }: { kind: Filter['kind']; serverDomain: string },
  skip: (path: string, error: unknown) => void,
): AsyncGenerator<DocumentLocation> {
  const path = accountsFolder(folder.home, { kind, serverDomain })
  try {
    for (const { name } of await folder.entries(path)) {
      const location = namedDocument(folder.home, { kind, serverDomain, name })
      if (location) yield location
    }
  } catch (error) {
    skip(path, error)
  }
}
