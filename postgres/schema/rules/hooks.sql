-- RULES OF HOOKS: what the database keeps; who has a hook loses it when it changes; history, without anything secret

CREATE OR REPLACE FUNCTION hooks_before() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    last bigint;
BEGIN
    IF NEW.url IS NULL THEN
        RAISE not_null_violation USING MESSAGE = 'url is required', COLUMN = 'url';
    END IF;
    IF current_user = (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = TG_RELID) AND TG_OP = 'UPDATE' THEN
        -- Who tells it (settle_hooks() and the like), or the rules themselves.
        RETURN NEW;
    END IF;
    NEW.kind := coalesce(NEW.kind, '{}');
    NEW.filter := coalesce(NEW.filter, '{}');
    IF TG_OP = 'INSERT' THEN
        NEW.created := clock_timestamp();
        NEW.tried := 0;
        NEW.next_try := NULL;
        NEW.reason := NULL;
        NEW.holder := NULL;
        NEW.until := NULL;
        -- No other hook's, though one may have had its number: whoever still has that one writes nothing of this.
        NEW.epoch := extract(epoch FROM NEW.created) * 1000000;
        NEW.begins := NULL;
        NEW.rotated := NULL;
        NEW.secrets := (coalesce(NEW.secrets, ARRAY[new_secret()]))[1:1];
    ELSE
        NEW.hook_id := OLD.hook_id;
        NEW.created := OLD.created;
        NEW.tried := OLD.tried;
        NEW.next_try := OLD.next_try;
        NEW.reason := OLD.reason;
        NEW.holder := OLD.holder;
        NEW.until := OLD.until;
        NEW.epoch := OLD.epoch;
        NEW.begins := OLD.begins;
        NEW.rotated := OLD.rotated;
        IF NEW.secrets IS DISTINCT FROM OLD.secrets THEN
            NEW.secrets := NEW.secrets[1:1] || OLD.secrets[1:1];
            NEW.rotated := clock_timestamp();
        END IF;
        -- Whoever has it goes on with nothing that is no longer so; and it is tried at once.
        NEW.epoch := OLD.epoch + 1;
        NEW.holder := NULL;
        NEW.until := NULL;
        NEW.tried := 0;
        NEW.next_try := NULL;
        IF NEW.position IS NULL AND OLD.position IS NOT NULL THEN
            -- From now on.
            NEW.begins := NULL;
        END IF;
        NEW.reason := CASE WHEN NEW.state <> 'active' AND NEW.state = OLD.state THEN OLD.reason END;
    END IF;
    -- What is no object of texts, the table's CHECK says.
    IF (TG_OP = 'INSERT' OR NEW.filter IS DISTINCT FROM OLD.filter) AND octet_length(NEW.filter::text) <= 4096
        AND jsonb_typeof(NEW.filter) = 'object' AND NOT jsonb_path_exists(NEW.filter, 'strict $.* ? (@.type() != "string")') THEN
        NEW.filter := filter_kept(NEW.filter);
    END IF;
    IF NEW.position IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.position IS DISTINCT FROM OLD.position) THEN
        SELECT coalesce(max(places.position), 0) INTO last FROM places;
        IF NEW.position > last THEN
            PERFORM refuse(format('position must be one that the feed has given: at most %s', last), 'hooks_check', 'position');
        END IF;
    END IF;
    RETURN NEW;
END $$;
COMMENT ON FUNCTION hooks_before() IS 'Keeps what the database keeps of a hook';

CREATE OR REPLACE TRIGGER hooks_before BEFORE INSERT OR UPDATE ON hooks
    FOR EACH ROW EXECUTE FUNCTION hooks_before();

CREATE OR REPLACE FUNCTION hook_told(hook hooks) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- What follows the host of a URL is often all that its receiver asks of who sends; an address is somebody's own.
    RETURN jsonb_build_object('hook', hook.hook_id,
        'url', CASE WHEN hook.url LIKE 'mailto:%' THEN 'mailto:…' ELSE regexp_replace(hook.url, '^(https?://[^/?]*).+$', '\1/…') END,
        'kind', to_jsonb(hook.kind), 'filter', hook.filter, 'state', hook.state, 'on_failure', hook.on_failure);
END $$;
COMMENT ON FUNCTION hook_told(hooks) IS 'What history tells of a hook: nothing that is secret';

CREATE OR REPLACE FUNCTION hooks_after() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    old_ jsonb := CASE WHEN TG_OP <> 'INSERT' THEN hook_told(OLD) END;
    new_ jsonb := CASE WHEN TG_OP <> 'DELETE' THEN hook_told(NEW) END;
    told jsonb;
    first bigint;
BEGIN
    SELECT coalesce(jsonb_object_agg(key, jsonb_build_array(old_ -> key, new_ -> key)), '{}') INTO told
        FROM jsonb_object_keys(coalesce(new_, old_)) AS key WHERE old_ -> key IS DISTINCT FROM new_ -> key;
    IF TG_OP = 'UPDATE' THEN
        IF NEW.url <> OLD.url THEN
            told := told || jsonb_build_object('url', jsonb_build_array(old_ -> 'url', new_ -> 'url'));
        END IF;
        IF NEW.secrets <> OLD.secrets THEN
            told := told || '{"secret": ["…", "…"]}';
        END IF;
        -- That it goes on is no news; that somebody has set it is.
        IF NEW.position IS DISTINCT FROM OLD.position AND NEW.epoch <> OLD.epoch THEN
            told := told || jsonb_build_object('position', jsonb_build_array(OLD.position, NEW.position));
        END IF;
        IF told = '{}' THEN
            RETURN NULL;
        END IF;
        told := told || jsonb_build_object('hook', jsonb_build_array(NEW.hook_id, NEW.hook_id));
    END IF;
    INSERT INTO stored_events (at, actor, source, kind, changes)
        VALUES (clock_timestamp(), left(actor(), 100), source(),
            CASE TG_OP WHEN 'INSERT' THEN 'hook_added' WHEN 'UPDATE' THEN 'hook_changed' ELSE 'hook_removed' END::event_kind, told)
        RETURNING event_id INTO first;
    IF TG_OP = 'INSERT' AND NEW.position IS NULL THEN
        UPDATE hooks SET begins = first WHERE hook_id = NEW.hook_id;
    END IF;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION hooks_after() IS 'Writes history';

CREATE OR REPLACE TRIGGER hooks_after AFTER INSERT OR UPDATE OR DELETE ON hooks
    FOR EACH ROW EXECUTE FUNCTION hooks_after();
