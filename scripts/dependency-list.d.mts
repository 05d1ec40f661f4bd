export interface ListedPackage {
  name: string
  version: string
  /** `installed` with latchkey, or `bundled` into it. */
  how: string
  why: string
  script: string
  integrity: string
}

export interface LockedPackage {
  version?: string
  integrity?: string
  resolved?: string
  hasInstallScript?: boolean
  dependencies?: Record<string, string>
  optionalDependencies?: Record<string, string>
  peerDependencies?: Record<string, string>
  peerDependenciesMeta?: Record<string, { optional?: boolean }>
}

export interface Lockfile {
  packages: Record<string, LockedPackage>
}

export function listedPackages(markdown: string): ListedPackage[]

export function installedPackages(lockfile: Lockfile): {
  installed: (LockedPackage & { name: string })[]
  missing: string[]
}

export function judgeDependencies(data: { lockfile: Lockfile; listed: ListedPackage[]; bundled: string[] }): {
  problems: string[]
  rows: ListedPackage[]
}

export function tableRow(row: ListedPackage): string
