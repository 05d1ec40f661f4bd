export interface Requirement {
  id: string
  level: string
  text: string
  source: string
  revisions?: string[]
  scenarios?: string[]
  not_applicable?: string
}

export interface Section {
  title: string
  requirements: Requirement[]
}

export interface NamedTest {
  file: string
  name: string
  status: string
}

export interface Judgement {
  problems: string[]
  onlySkipped: string[]
  filesById: Map<string, string[]>
}

export function judgeCoverage(data: {
  sections: Section[]
  tests: NamedTest[]
  scenarios: string[]
}): Judgement

export function coveragePage(data: { sections: Section[]; filesById: Map<string, string[]> }): string
