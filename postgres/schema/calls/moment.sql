-- WORDS FOR TIMES

CREATE OR REPLACE FUNCTION moment(words text, past boolean DEFAULT true, zone text DEFAULT current_setting('TimeZone'))
RETURNS timestamptz
LANGUAGE plpgsql STABLE STRICT
SET search_path = pg_catalog, public, pg_temp
SET datestyle = 'ISO, MDY'
SET intervalstyle = 'postgres'
-- So that what is set below ends with the function, too.
SET timezone = 'UTC'
AS $$
DECLARE
    -- A blank is what it is in any text; PostgreSQL itself would read others than its own as a part of a word.
    spaced text := btrim(regexp_replace(words, '[' || blanks() || ']+', ' ', 'g'));
    said text := lower(spaced);
    here timestamp;
    part text[];
    day timestamp;
    step interval;
    is_past boolean := past;
    found timestamptz;
BEGIN
    -- A zone of PostgreSQL's own making, such as FOO5, is nobody's; digits are only in a few that there are.
    IF zone !~ '^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$'
        OR zone ~ '[0-9]' AND NOT EXISTS (SELECT FROM pg_timezone_names WHERE name = zone) THEN
        RAISE invalid_parameter_value USING MESSAGE = format('there is no time zone "%s"', zone), COLUMN = 'tz',
            HINT = 'Such as Europe/Berlin, America/New_York or UTC.';
    END IF;
    BEGIN
        PERFORM set_config('timezone', zone, true);
    EXCEPTION WHEN invalid_parameter_value THEN
        RAISE invalid_parameter_value USING MESSAGE = format('there is no time zone "%s"', zone), COLUMN = 'tz',
            HINT = 'Such as Europe/Berlin, America/New_York or UTC.';
    END;
    here := now()::timestamp;
    IF words ~* '(GMT|UTC|UT)[+-][0-9]' THEN
        RAISE invalid_datetime_format USING MESSAGE = format('GMT+0100 would mean one hour west of Greenwich: "%s"', words);
    END IF;

    -- 7 days ago, -2h, in 3 days
    part := regexp_match(said, '^(in |[+-] ?)?((?:(?:\d{1,9}(?:\.\d{1,6})?|an?|one) ?'
        '(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|mo|months?|y|yrs?|years?)(?![a-z]) ?)+?)( ?ago)?$');
    IF part IS NOT NULL AND (part[1] IS NULL) <> (part[3] IS NULL) THEN
        step := regexp_replace(regexp_replace(regexp_replace(part[2], '\m(an?|one)\M', '1', 'g'), '(\d) ?mo(?![a-z])', '\1 months', 'g'),
            '([a-z])(\d)', '\1 \2', 'g')::interval;
        found := CASE WHEN part[3] IS NULL AND part[1] !~ '^-' THEN now() + step ELSE now() - step END;
    END IF;

    -- monday, friday 17:00, last monday, 17:00: the last one or the next one
    IF found IS NULL THEN
        part := regexp_match(said, '^(?:(last|next) )?(mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:r|rs|rsday)?|'
            'fri(?:day)?|sat(?:urday)?|sun(?:day)?)?,?(?: ?(?:at )?(\d{1,2}(?::\d\d){1,2}(?: ?[ap]m)?|\d{1,2} ?[ap]m))?$');
        IF part IS NOT NULL AND (part[2] IS NOT NULL OR part[1] IS NULL AND part[3] IS NOT NULL) THEN
            step := CASE WHEN part[2] IS NULL THEN interval '1 day' ELSE interval '7 days' END;
            day := CASE WHEN part[2] IS NULL THEN date_trunc('day', here)
                ELSE date_trunc('week', here) + (array_position('{mon,tue,wed,thu,fri,sat,sun}'::text[], left(part[2], 3)) - 1) * interval '1 day' END;
            IF part[1] IS NOT NULL THEN
                is_past := part[1] = 'last';
            END IF;
            day := day + coalesce(regexp_replace(part[3], '^(\d+) ?([ap]m)$', '\1:00 \2')::time, '00:00')::interval;
            IF is_past AND day > here THEN
                day := day - step;
            ELSIF NOT is_past AND day <= here THEN
                day := day + step;
            END IF;
            found := day::timestamptz;
        END IF;
    END IF;

    -- last week, this month, next year: when it begins
    IF found IS NULL THEN
        part := regexp_match(said, '^(last|this|next) (week|month|quarter|year)$');
        IF part IS NOT NULL THEN
            step := CASE part[2] WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || part[2])::interval END;
            found := (date_trunc(part[2], here)
                + CASE part[1] WHEN 'last' THEN -step WHEN 'next' THEN step ELSE interval '0' END)::timestamptz;
        END IF;
    END IF;

    -- 2026-W48, of which the Monday; 2026-W48-5
    IF found IS NULL THEN
        part := regexp_match(said, '^(\d{4})-?w(\d\d)(?:-?([1-7]))?$');
        IF part IS NOT NULL THEN
            day := to_date(part[1] || part[2] || coalesce(part[3], '1'), 'IYYYIWID');
            IF to_char(day, 'IYYYIW') <> part[1] || part[2] THEN
                RAISE datetime_field_overflow USING MESSAGE = 'there is no such week';
            END IF;
            found := day::timestamptz;
        END IF;
    END IF;

    RETURN coalesce(found, regexp_replace(spaced, '^((today|tomorrow|yesterday),? )at ', '\1', 'i')::timestamptz);
EXCEPTION WHEN data_exception THEN
    IF SQLERRM LIKE 'there is no time zone "%' THEN
        RAISE;
    END IF;
    RAISE EXCEPTION USING ERRCODE = SQLSTATE,
        -- Always with the words, so that whoever gave several times knows which.
        MESSAGE = CASE WHEN right(SQLERRM, length(words) + 2) = format('"%s"', words) THEN SQLERRM
            WHEN SQLSTATE IN ('22008', '22015') THEN format('date/time field value out of range: "%s"', words)
            ELSE format('invalid input syntax for type timestamp with time zone: "%s"', words) END,
        HINT = 'Times are like 2026-12-01, 2026-12-01T17:00+01:00, tomorrow, monday, friday 17:00, 7 days ago, -2h, in 3 days, 2026-W48.';
END $$;
COMMENT ON FUNCTION moment(text, boolean, text) IS
    'When that is: monday, friday 17:00, 7 days ago, -2h, in 3 days, 2026-W48, and whatever PostgreSQL reads; past: whether a day is the last one or the next one; in a time zone, the session''s unless given';

CREATE OR REPLACE FUNCTION moment_once(words text, past boolean, zone text) RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT
-- For statements that are planned whenever they are run, and those that execute it as a parameter: what is immutable is
-- computed once, before the plan is made, so that the plan knows the time, and no row asks for it again. Of a statement that
-- keeps its plan it would keep the time as well, so that it is for nobody but the service.
RETURN moment(words, past, zone);
COMMENT ON FUNCTION moment_once(text, boolean, text) IS 'moment() as the service asks for it, once for a statement';

GRANT EXECUTE ON FUNCTION moment(text, boolean, text), moment_once(text, boolean, text) TO iris_reader;
