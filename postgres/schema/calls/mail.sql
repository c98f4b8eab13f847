-- MAIL: what a deliverer asks and says of people, as it does of hooks; and what the addresses say that mail comes back to.
-- Such an address is sealed: by a key of the person's, which nobody sees.

CREATE OR REPLACE FUNCTION sealed(of bigint, what text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- HMAC would hash a key longer than a block; around a digest, nothing can be added to what is sealed.
    RETURN (SELECT left(encode(sha256(key || sha256(key || convert_to(what, 'UTF8'))), 'hex'), 20) FROM people WHERE person_id = of);
END $$;
COMMENT ON FUNCTION sealed(bigint, text) IS
    'What proves that Iris has told a person an address: of replies to a ticket (reply 3), to end their mail (unsubscribe), of what comes back undelivered (bounce alice@example.org)';

CREATE OR REPLACE FUNCTION people_due(holder text, most integer DEFAULT 10, seconds double precision DEFAULT 120)
RETURNS TABLE (person_id bigint, name text, mail text, digest mail_digest, epoch bigint, "position" bigint, tried integer, feed_end bigint, seal text, bounce text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    last bigint;
BEGIN
    IF current_setting('transaction_read_only') = 'on' OR NOT EXISTS (SELECT FROM people WHERE state = 'active' AND digest <> 'none') THEN
        RETURN;
    END IF;
    PERFORM place_all();
    SELECT coalesce(max(position), 0) INTO last FROM places;
    RETURN QUERY
        WITH found AS (
            SELECT person_id FROM people
                WHERE state = 'active' AND position < last AND (digest = 'now' OR digest = 'daily' AND coalesce(mailed <= clock_timestamp() - interval '1 day', true))
                    AND coalesce(until < clock_timestamp(), true) AND coalesce(next_try <= clock_timestamp(), true)
                ORDER BY next_try, person_id LIMIT most FOR NO KEY UPDATE SKIP LOCKED)
        UPDATE people SET holder = people_due.holder, until = clock_timestamp() + make_interval(secs => seconds), epoch = epoch + 1
            FROM found WHERE people.person_id = found.person_id
            RETURNING people.person_id, people.name, people.mail, people.digest, people.epoch, people.position, people.tried, last,
                sealed(people.person_id, 'unsubscribe'), sealed(people.person_id, 'bounce ' || lower(people.mail));
END $$;
COMMENT ON FUNCTION people_due(text, integer, double precision) IS
    'Takes people for whom there may be mail, for some seconds, and says how far the feed is. For a deliverer';

CREATE OR REPLACE FUNCTION mail_piece(of bigint, after bigint, upto bigint, most integer) RETURNS TABLE (body text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
SET timezone = 'UTC'
AS $$
BEGIN
    RETURN QUERY SELECT row_to_json(piece)::text FROM (
        SELECT new.*, CASE WHEN new.title IS NOT NULL THEN sealed(of, 'reply ' || new.ticket_id) END AS seal
            FROM (SELECT name FROM people WHERE person_id = of) AS whose
                CROSS JOIN LATERAL inbox_after(whose.name, mail_piece.after) AS new
            WHERE new.position <= upto ORDER BY new.position LIMIT most) AS piece;
END $$;
COMMENT ON FUNCTION mail_piece(bigint, bigint, bigint, integer) IS
    'The rows of a person''s inbox between two positions, each with the seal of the address that a reply goes to';

CREATE OR REPLACE FUNCTION settle_person(holder text, of bigint, taken bigint, reached bigint, tries integer, wait double precision, became mail_state,
    why text, is_sent boolean, ends boolean) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE people SET position = reached, tried = tries, next_try = clock_timestamp() + make_interval(secs => wait), state = coalesce(became, state),
            reason = why, mailed = CASE WHEN is_sent THEN clock_timestamp() ELSE mailed END,
            epoch = CASE WHEN ends THEN epoch + 1 ELSE epoch END, until = CASE WHEN ends THEN NULL ELSE until END
        WHERE person_id = of AND epoch = taken AND people.holder = settle_person.holder;
    RETURN FOUND;
END $$;
COMMENT ON FUNCTION settle_person(text, bigint, bigint, bigint, integer, double precision, mail_state, text, boolean, boolean) IS
    'Says how far a person was mailed that a deliverer has; false where it has them no more, and nothing was written';

CREATE OR REPLACE FUNCTION lives_at(whose text, address text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN EXISTS (SELECT FROM people WHERE name = whose AND lower(mail) = lower(address));
END $$;
COMMENT ON FUNCTION lives_at(text, text) IS 'Whether an address is somebody''s: nobody is mailed what they did themselves';

CREATE OR REPLACE FUNCTION unsubscribe(of bigint, seal text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    whose text;
BEGIN
    UPDATE people SET digest = 'none' WHERE person_id = of AND sealed(of, 'unsubscribe') = seal RETURNING name INTO whose;
    RETURN whose;
END $$;
COMMENT ON FUNCTION unsubscribe(bigint, text) IS 'Ends the mail of whom Iris has told this address; their name, or null where it told nobody';

CREATE OR REPLACE FUNCTION bounced(of bigint, what text, seal text, recipients text[], why text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    whose text;
BEGIN
    -- Each address has a bounce of its own: what comes back late is no matter of the one that somebody has by now. Any other that Iris
    -- told them says only who they are, so that the report has to say where they live.
    UPDATE people SET state = 'bounced', reason = why, epoch = epoch + 1, tried = 0, next_try = NULL, holder = NULL, until = NULL
        WHERE person_id = of AND state <> 'disabled' AND sealed(of, what || CASE WHEN what = 'bounce' THEN ' ' || lower(mail) ELSE '' END) = seal
            AND (what = 'bounce' OR lower(mail) = ANY (recipients))
        RETURNING name INTO whose;
    RETURN whose;
END $$;
COMMENT ON FUNCTION bounced(bigint, text, text, text[], text) IS
    'Ends the mail of whom a mail server says that it knows no such address; their name, or null where that is about nobody';

CREATE OR REPLACE FUNCTION writes_from(address text) RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT name FROM people WHERE lower(mail) = lower(address) AND state <> 'disabled' ORDER BY person_id LIMIT 1;
END $$;
COMMENT ON FUNCTION writes_from(text) IS 'Who writes from an address';

CREATE OR REPLACE FUNCTION writes_by(of bigint, ticket bigint, seal text) RETURNS SETOF text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN QUERY SELECT name FROM people WHERE person_id = of AND state <> 'disabled' AND sealed(of, 'reply ' || ticket) = seal;
END $$;
COMMENT ON FUNCTION writes_by(bigint, bigint, text) IS 'Who writes to an address that Iris told them, for replies to a ticket';

CREATE OR REPLACE FUNCTION role_of(whose text) RETURNS token_role
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    RETURN (SELECT max(role) FROM tokens WHERE tokens.actor = whose AND coalesce(expires > clock_timestamp(), true));
END $$;
COMMENT ON FUNCTION role_of(text) IS 'What somebody may do by the best of their tokens; null where they have none that is good';
