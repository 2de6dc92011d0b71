internal import GRDB
internal import Model

/// What the database library says, as failures that people can act on.
extension Database {
    static func translated<Value>(_ body: () throws -> Value) throws -> Value {
        do { return try body() } catch let error as DatabaseError { throw failure(error) }
    }

    static func translated<Value>(_ body: () async throws -> Value) async throws -> Value {
        do { return try await body() } catch let error as DatabaseError { throw failure(error) }
    }

    private static func failure(_ error: DatabaseError) -> Failure {
        switch error.resultCode {
        case .SQLITE_FULL:
            Failure(
                .diskFull, "the database could not be written: the disk is full",
                suggestion: "free some room; what runs goes on running", cause: error)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            Failure(
                .conflict, "another process holds the database",
                suggestion: "is a second `kiln serve` running?")
        case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM:
            Failure(
                .notPermitted, "the database cannot be opened",
                suggestion: "run as root, or choose another --root",
                cause: error)
        default: Failure(.storeDamaged, "the database failed", cause: error)
        }
    }
}
