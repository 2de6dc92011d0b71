/// The ledger's tables. The entries' bodies are what counts; all else can be made of them again.
enum LedgerSchema {
    /// What is in the log stays: even our own mistakes are refused.
    static let tables = """
        CREATE TABLE ledger_entry (
            number INTEGER PRIMARY KEY, leaf BLOB NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL) STRICT;
        CREATE TABLE ledger_tile (
            level INTEGER NOT NULL, place INTEGER NOT NULL, root BLOB NOT NULL, hashes BLOB NOT NULL,
            PRIMARY KEY (level, place)) STRICT;
        CREATE TABLE ledger_head (
            id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL, peaks BLOB NOT NULL,
            origin TEXT) STRICT;
        INSERT INTO ledger_head (id, size, peaks) VALUES (1, 0, x'');
        CREATE TABLE ledger_subject (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
        CREATE TABLE ledger_mention (
            subject INTEGER NOT NULL, entry INTEGER NOT NULL, PRIMARY KEY (subject, entry)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE ledger_checkpoint (
            source TEXT PRIMARY KEY, size INTEGER NOT NULL, at INTEGER NOT NULL, note BLOB NOT NULL) STRICT;
        CREATE TRIGGER ledger_entry_update BEFORE UPDATE ON ledger_entry
            BEGIN SELECT RAISE(ABORT, 'an entry of the ledger is never changed'); END;
        CREATE TRIGGER ledger_entry_delete BEFORE DELETE ON ledger_entry
            BEGIN SELECT RAISE(ABORT, 'an entry of the ledger is never deleted'); END;
        CREATE TRIGGER ledger_tile_update BEFORE UPDATE ON ledger_tile
            BEGIN SELECT RAISE(ABORT, 'a tile of the ledger is never changed'); END;
        CREATE TRIGGER ledger_tile_delete BEFORE DELETE ON ledger_tile
            BEGIN SELECT RAISE(ABORT, 'a tile of the ledger is never deleted'); END;
        CREATE TRIGGER ledger_head_delete BEFORE DELETE ON ledger_head
            BEGIN SELECT RAISE(ABORT, 'the head of the ledger is never deleted'); END;
        CREATE TRIGGER ledger_head_update BEFORE UPDATE ON ledger_head WHEN NEW.size < OLD.size
            BEGIN SELECT RAISE(ABORT, 'the ledger never grows shorter'); END;
        """
}
