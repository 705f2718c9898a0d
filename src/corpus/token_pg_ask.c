/* corpus/token_pg_ask.c - the token table in PostgreSQL: what its tables are, and questions to them. */
#include "corpus/token_pg.h"

#include "store/pg.h"

const char lm_token_pg_schema[] =
    "CREATE SCHEMA IF NOT EXISTS loom;"
    "CREATE TABLE IF NOT EXISTS loom.vocabulary (sha256 text PRIMARY KEY);"
    "CREATE TABLE IF NOT EXISTS loom.token (id int PRIMARY KEY, token text NOT NULL, bytes bytea NOT NULL,"
    " frequency bigint NOT NULL);"
    "CREATE INDEX IF NOT EXISTS token_by_text ON loom.token (token);"
    "CREATE TABLE IF NOT EXISTS loom.document (no bigint PRIMARY KEY, id text NOT NULL UNIQUE,"
    " split text NOT NULL, tokens bigint NOT NULL, token_ids int[] NOT NULL);"
    "CREATE TABLE IF NOT EXISTS loom.posting (token_id int NOT NULL, first_document bigint NOT NULL,"
    " documents bigint[] NOT NULL, counts int[] NOT NULL, PRIMARY KEY (token_id, first_document));"
    "CREATE TABLE IF NOT EXISTS loom.load (source text PRIMARY KEY, first_document bigint NOT NULL,"
    " documents bigint NOT NULL, documents_done bigint NOT NULL, token_id bigint NOT NULL,"
    " posting bigint NOT NULL, done boolean NOT NULL);"
    "CREATE OR REPLACE VIEW loom.token_document AS SELECT p.token_id, u.document_no, u.frequency"
    " FROM loom.posting p, unnest(p.documents, p.counts) AS u (document_no, frequency);"
    "CREATE OR REPLACE VIEW loom.token_table AS SELECT t.id AS token_id, t.token, t.frequency,"
    " ARRAY(SELECT d.id FROM loom.token_document td JOIN loom.document d ON d.no = td.document_no"
    " WHERE td.token_id = t.id ORDER BY d.no) AS document_ids FROM loom.token t;"
    "CREATE OR REPLACE FUNCTION loom.phrase(ids int[]) RETURNS TABLE (document_no bigint, document_id text,"
    " occurrences bigint) LANGUAGE plpgsql STABLE AS $$\n"
    "DECLARE\n"
    "    d record;\n"
    "    here int[];\n"
    "    len int := cardinality(ids);\n"
    "    rarest int := (SELECT t.id FROM loom.token t WHERE t.id = ANY (ids) ORDER BY t.frequency LIMIT 1);\n"
    "BEGIN\n"
    "    FOR d IN SELECT c.no, c.id, c.token_ids FROM loom.document c WHERE c.no IN (SELECT td.document_no\n"
    "        FROM loom.token_document td WHERE td.token_id = rarest) AND ',' || array_to_string(c.token_ids, "
    "',')\n"
    "        || ',' LIKE '%,' || array_to_string(ids, ',') || ',%' ORDER BY c.no\n"
    "    LOOP\n"
    "        here := d.token_ids;\n"
    "        document_no := d.no;\n"
    "        document_id := d.id;\n"
    "        occurrences := 0;\n"
    "        FOR i IN 1 .. cardinality(here) - len + 1 LOOP\n"
    "            IF here[i : i + len - 1] = ids THEN\n"
    "                occurrences := occurrences + 1;\n"
    "            END IF;\n"
    "        END LOOP;\n"
    "        RETURN NEXT;\n"
    "    END LOOP;\n"
    "END $$;";

static enum lm_rc ask(const char *where, const char *sql, const char *param, struct lm_pg_hits *ret,
                      struct lm_err *err)
{
    struct lm_pg *pg = NULL;
    struct lm_pg_rows *rows = NULL;
    const char *const params[] = { param };
    LM_TRY(lm_pg_open(where, &pg, err));
    const enum lm_rc rc = lm_pg_query(pg, sql, params, 1, &rows, err);
    const size_t count = rc == LM_OK ? lm_pg_row_count(rows) : 0;
    for (size_t i = 0; i < count; i++) {
        const struct lm_str id = lm_pg_text(rows, i, 1);
        lm_phrase_hits_put(&ret->hits, (uint64_t)lm_pg_int(rows, i, 0), (uint64_t)lm_pg_int(rows, i, 2));
        lm_buf_add_str(&ret->ids, id);
        lm_buf_putc(&ret->ids, '\0');
    }
    lm_pg_rows_free(rows);
    lm_pg_close(pg);
    return rc;
}

enum lm_rc lm_token_pg_find(const char *where, const char *text, struct lm_pg_hits *ret, struct lm_err *err)
{
    return ask(where,
               "SELECT d.no, d.id, td.frequency FROM loom.token_document td JOIN loom.document d"
               " ON d.no = td.document_no WHERE td.token_id = (SELECT id FROM loom.token WHERE token = $1"
               " ORDER BY frequency DESC, id LIMIT 1) ORDER BY td.frequency DESC, d.no",
               text, ret, err);
}

enum lm_rc lm_token_pg_phrases(const char *where, const struct lm_phrase *phrases, size_t count,
                               struct lm_pg_hits *ret, struct lm_err *err)
{
    struct lm_buf sql = { 0 };
    lm_buf_puts(&sql, "SELECT document_no, min(document_id), sum(occurrences) FROM (");
    for (size_t i = 0; i < count; i++) {
        if (phrases[i].count == 0) {
            lm_buf_release(&sql);
            return lm_fail(err, LM_EINVAL, "an empty phrase is in every document");
        }
        lm_buf_puts(&sql, i ? " UNION ALL SELECT * FROM loom.phrase('{" : "SELECT * FROM loom.phrase('{");
        for (size_t k = 0; k < phrases[i].count; k++)
            lm_buf_printf(&sql, k ? ",%u" : "%u", phrases[i].ids[k]);
        lm_buf_puts(&sql, "}')");
    }
    lm_buf_puts(&sql, ") p WHERE $1::text IS NOT NULL GROUP BY document_no ORDER BY document_no");
    const enum lm_rc rc = ask(where, sql.ptr, "", ret, err);
    lm_buf_release(&sql);
    return rc;
}

void lm_pg_hits_release(struct lm_pg_hits *h)
{
    lm_buf_release(&h->ids);
    lm_phrase_hits_release(&h->hits);
}
