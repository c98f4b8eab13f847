-- TYPES

CREATE TYPE priority AS ENUM ('low', 'normal', 'high', 'urgent');
COMMENT ON TYPE priority IS 'How much a ticket matters; sorts in this order';

CREATE TYPE link_kind AS ENUM ('blocks', 'duplicates', 'parent', 'relates');
COMMENT ON TYPE link_kind IS 'What ticket_id is to other_id: it blocks it, duplicates it, has it as its parent, relates to it';

CREATE TYPE event_kind AS ENUM ('created', 'changed', 'deleted', 'commented', 'comment_changed', 'comment_deleted', 'linked', 'unlinked',
    'workflow_changed', 'token_added', 'token_revoked', 'hook_added', 'hook_changed', 'hook_removed');
COMMENT ON TYPE event_kind IS 'What happened, to a ticket, to the workflow, to a token or to a hook';

-- Frozen: whoever adds a column to events leaves this as it is, or the digests that there are would not fit any more.
CREATE TYPE event_contents AS (event_id bigint, at timestamptz, actor text, source text, ticket_id bigint, kind event_kind, comment_id bigint,
    changes jsonb, "position" bigint, kept json, other_id bigint, other_kept jsonb, change bigint, undoes bigint);
COMMENT ON TYPE event_contents IS 'What of an event its digest covers, in this order';

CREATE TYPE mail_digest AS ENUM ('none', 'now', 'daily');
COMMENT ON TYPE mail_digest IS 'How somebody''s inbox comes by mail: not at all, at once, or once a day';

CREATE TYPE mail_state AS ENUM ('active', 'bounced', 'disabled');
COMMENT ON TYPE mail_state IS 'Whether somebody gets mail: they do, their mail server knows no such address, or they were told to get none';

CREATE TYPE token_role AS ENUM ('reader', 'writer', 'admin');
COMMENT ON TYPE token_role IS 'What the holder of a token may do; each may do what the one before may';

CREATE TYPE hook_state AS ENUM ('active', 'stopped', 'disabled');
COMMENT ON TYPE hook_state IS 'Whether a hook is told: active; stopped, by somebody or after the last try; disabled, for its receiver wants no more (410)';

CREATE TYPE hook_failure AS ENUM ('park', 'stop');
COMMENT ON TYPE hook_failure IS 'What becomes of an event after the last try: it is parked, and the next one follows; or the hook is stopped';

CREATE TYPE delivery_outcome AS ENUM ('accepted', 'failed', 'parked', 'stopped', 'disabled');
COMMENT ON TYPE delivery_outcome IS 'What came of a try: accepted; failed, to be tried again; or, failed for good, the event was parked, the hook stopped or disabled';
