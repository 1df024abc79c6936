import { postgres } from '../components/postgres.ts'
import { type OwnComponent, startOwn } from './own-component.ts'

export const startPostgres = (): Promise<OwnComponent> => startOwn(postgres)
