import { OmiumError } from '@omium/schemas'
import { type Connection, type Pool, Query, type QueryConfig, type QueryResult, type QueryResultRow } from 'pg'

/**
 * Reads behind the second wall: PostgreSQL itself shows the gateways' role the rows of one tenant, or of one user, and no others.
 *
 * 1. Every statement says whose rows it is about. What it says holds for that statement alone; nothing is left on the connection.
 * 2. A statement that says nothing sees no row that belongs to anybody.
 * 3. It costs no round trip: what sets the scope and the statement go out together and are one transaction, since PostgreSQL ends
 *    a transaction of its extended protocol at the Sync, not at each Execute.
 * 4. Pages are read in the order of an index, also from tables that nobody has analysed yet ({@link preferIndexes}).
 *
 * The WHERE clauses of the statements are the first wall, and stay. Roles, grants and policies: migrations/sql/0024_walls.sql.
 */
export interface Scope {
  readonly tenant?: string
  readonly user?: string
}

export interface Reads {
  query<R extends QueryResultRow>(
    scope: Scope,
    statement: string | QueryConfig,
    values?: readonly unknown[],
  ): Promise<QueryResult<R>>
  /** queries that wait for a connection */
  readonly waiting: number
}

const setScope = {
  name: 'omium-scope',
  text: `SELECT set_config('omium.tenant', $1, true), set_config('omium.user', $2, true)`,
}

/**
 * What the reads want is in memory, or on drives without heads: a page here costs what the next one costs. With PostgreSQL's
 * default for disks (4), and while it knows nothing about a table yet, collecting all rows of a tenant and sorting them seems
 * cheaper than walking an index, and a connection keeps that plan.
 */
const preferIndexes = 'SET random_page_cost = 1'

/** What pg's types do not tell of its queries: what the client hands them as it arrives. */
interface WireQuery {
  readonly name: string | undefined
  readonly text: string
  /** the client sets the parsers of its types here */
  readonly _result: unknown
  callback: ((error: Error | undefined, result: QueryResult) => void) | undefined
  submit(connection: Connection): Error | null
  handleRowDescription(message: unknown): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: Connection): void
  handleEmptyQuery(connection: Connection): void
  handleError(error: Error, connection: Connection): void
  handleReadyForQuery(connection: Connection): void
}

/** A query that is preceded by what sets its scope, whose own answer (one row) is dropped. */
class ScopedQuery implements Pick<WireQuery, keyof WireQuery> {
  readonly #query: WireQuery
  readonly #scope: Scope
  #scoped = false

  constructor(scope: Scope, query: WireQuery) {
    this.#scope = scope
    this.#query = query
  }
  get name() {
    return this.#query.name
  }
  get text() {
    return this.#query.text
  }
  get _result() {
    return this.#query._result
  }
  get callback() {
    return this.#query.callback
  }
  set callback(callback: WireQuery['callback']) {
    this.#query.callback = callback
  }
  submit(connection: Connection): Error | null {
    connection.stream.cork()
    try {
      const { tenant = '', user = '' } = this.#scope
      connection.bind({ statement: setScope.name, values: [tenant, user] }, true)
      connection.execute({}, true)
      return this.#query.submit(connection)
    } finally {
      connection.stream.uncork()
    }
  }
  handleRowDescription(message: unknown): void {
    this.#query.handleRowDescription(message)
  }
  handleDataRow(message: unknown): void {
    if (this.#scoped) this.#query.handleDataRow(message)
  }
  handleCommandComplete(message: unknown, connection: Connection): void {
    if (this.#scoped) this.#query.handleCommandComplete(message, connection)
    this.#scoped = true
  }
  handleEmptyQuery(connection: Connection): void {
    this.#query.handleEmptyQuery(connection)
  }
  handleError(error: Error, connection: Connection): void {
    this.#query.handleError(error, connection)
  }
  handleReadyForQuery(connection: Connection): void {
    this.#query.handleReadyForQuery(connection)
  }
}

export const createReads = (pool: Pool): Reads => {
  /** connections that are set up: they know the statement which sets the scope */
  const prepared = new WeakSet<object>()
  return {
    get waiting() {
      return pool.waitingCount
    },
    query: async <R extends QueryResultRow>(
      scope: Scope,
      statement: string | QueryConfig,
      values: readonly unknown[] = [],
    ): Promise<QueryResult<R>> => {
      const config = typeof statement === 'string' ? { text: statement, values: [...values] } : statement
      // a simple query would be a transaction of its own
      const query = new Query({ ...config, queryMode: 'extended' } as QueryConfig) as unknown as WireQuery
      const client = await pool.connect()
      let failed: Error | undefined
      try {
        if (!prepared.has(client)) {
          await Promise.all([client.query(preferIndexes), client.query({ ...setScope, values: ['', ''] })])
          prepared.add(client)
        }
        return await new Promise<QueryResult<R>>((resolve, reject) => {
          query.callback = (error, result) => (error ? reject(error) : resolve(result as QueryResult<R>))
          client.query(new ScopedQuery(scope, query))
        })
      } catch (error) {
        failed = error as Error
        throw error
      } finally {
        client.release(failed)
      }
    },
  }
}

interface Rights {
  readonly role: string
  readonly superuser: boolean
  readonly bypasses: boolean
  readonly owns: boolean
  readonly member: boolean
}

/**
 * To be called before anything is served: a role that row-level security does not hold makes a wall that is none.
 * @throws OmiumError `settings_invalid` saying what the role may do and must not, or lacks
 */
export const requireWalls = async (pool: Pool): Promise<void> => {
  const { rows } = await pool.query<Rights>(
    `SELECT current_user AS role, r.rolsuper AS superuser, r.rolbypassrls AS bypasses,
       EXISTS (SELECT FROM pg_class c WHERE c.relrowsecurity AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owns,
       EXISTS (SELECT FROM pg_roles a WHERE a.rolname = 'omium_app' AND pg_has_role(r.oid, a.oid, 'USAGE')) AS member
     FROM pg_roles r WHERE r.rolname = current_user`,
  )
  const { role, superuser, bypasses, owns, member } = rows[0] as Rights
  const much = superuser
    ? 'is a superuser'
    : bypasses
      ? 'has BYPASSRLS'
      : owns
        ? 'owns the tables, or may act for their owner'
        : undefined
  const problem =
    (much && `${much}, so every tenant's rows are open to it`) ?? (member ? undefined : 'is no member of omium_app')
  if (problem)
    throw new OmiumError(
      'settings_invalid',
      `OMIUM_GATEWAY_DATABASE_URL: the role ${role} ${problem}. Name the role omium_app, which the migrations make`,
    )
}
