CREATE TABLE hooks (
    hook_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT hooks_pkey PRIMARY KEY,
    url text NOT NULL,
    kind event_kind[] NOT NULL DEFAULT '{}',
    filter jsonb NOT NULL DEFAULT '{}',
    position bigint,
    state hook_state NOT NULL DEFAULT 'active',
    on_failure hook_failure NOT NULL DEFAULT 'park',
    reason text,
    tried integer NOT NULL DEFAULT 0,
    next_try timestamptz,
    created timestamptz NOT NULL,
    -- Who tells it, and until when nobody else does; counted on whenever it is somebody else, or the hook another.
    holder text,
    until timestamptz,
    epoch bigint NOT NULL DEFAULT 0,
    begins bigint,
    secrets text[] NOT NULL DEFAULT ARRAY[new_secret()],
    rotated timestamptz,
    CONSTRAINT hooks_check CHECK (hook_fits(url, filter, position, secrets))
);
COMMENT ON TABLE hooks IS 'Who is told: a URL that gets each event of the feed that its filter lets through, in order, at least once';
COMMENT ON COLUMN hooks.hook_id IS 'Its number';
COMMENT ON COLUMN hooks.url IS 'Where events are sent: https://…, http://… or mailto:…';
COMMENT ON COLUMN hooks.kind IS 'The kinds of events that it gets; empty: all';
COMMENT ON COLUMN hooks.filter IS 'Filters of GET /tickets, {"status": "open"}: it gets what happens to tickets that meet them all, then or before; empty: everything';
COMMENT ON COLUMN hooks.position IS 'How far in the feed it is: it gets what comes after. Set back, all since comes again; null: from when it was made on, until the feed has given that a place';
COMMENT ON COLUMN hooks.state IS 'Whether it is told: active, stopped, or disabled by its receiver';
COMMENT ON COLUMN hooks.on_failure IS 'What becomes of an event after the last try: park goes on with the next one, stop stops the hook';
COMMENT ON COLUMN hooks.reason IS 'Why it waits, was stopped or disabled; kept by the database';
COMMENT ON COLUMN hooks.tried IS 'How often the next event was tried in vain; kept by the database';
COMMENT ON COLUMN hooks.next_try IS 'When it is tried again; kept by the database';
COMMENT ON COLUMN hooks.created IS 'When it was made; kept by the database';
COMMENT ON COLUMN hooks.holder IS 'Which deliverer has it; kept by the database';
COMMENT ON COLUMN hooks.until IS 'Until when no other deliverer takes it; kept by the database';
COMMENT ON COLUMN hooks.epoch IS 'Counted on whenever a deliverer takes it and whenever somebody changes it, so that who had it before writes nothing any more';
COMMENT ON COLUMN hooks.begins IS 'The event of its making, whose place is its first position';
COMMENT ON COLUMN hooks.secrets IS 'What its deliveries are signed with, whsec_ and base64 of 24 to 64 bytes, the newest first; to write another is to rotate: the one before signs, too, for a day';
COMMENT ON COLUMN hooks.rotated IS 'When the secret was last changed; kept by the database';
