internal import Foundation
internal import GRDB
internal import Model
package import Ports
package import Trust

/// What is asked of the log. Nothing here needs room for more than a page of it.
extension LedgerFile {
    /// How long the log is, and its root.
    package func head() throws -> (size: Int, root: MerkleHash) {
        let frontier = try read { try LedgerLog.head(in: $0) }
        return (frontier.size, frontier.root)
    }

    /// The root that the log had when it was this long.
    package func root(size: Int) throws -> MerkleHash { try tree(size) { try $0.root() } }

    /// Proof that an entry is among the first `size`, for whoever has their root.
    package func inclusion(of entry: Int, size: Int) throws -> [MerkleHash] {
        try tree(size) { tree in
            guard (0..<size).contains(entry) else {
                throw Failure(
                    .notFound, "there is no entry \(entry) among the first \(size)",
                    suggestion: "the newest is \(size - 1)")
            }
            return try tree.inclusion(of: entry)
        }
    }

    /// Proof that the first `size` entries begin with the first `older`.
    package func consistency(from older: Int, to size: Int) throws -> [MerkleHash] {
        try tree(size) { tree in
            guard (0...size).contains(older) else { throw LedgerFile.tooShort(size, wanted: older) }
            return try tree.consistency(since: older)
        }
    }

    /// The hashes of neighbouring subtrees, as tiles have them.
    package func hashes(_ nodes: [MerkleNode]) throws -> [MerkleHash] {
        try read { database in
            var known = LedgerNodes(database)
            return try nodes.map { try known.hash($0) }
        }
    }

    private func tree<Value>(_ size: Int, _ body: (MerkleTree) throws -> Value) throws -> Value {
        try read { database in
            let length = try LedgerLog.head(in: database).size
            guard (0...length).contains(size) else { throw LedgerFile.tooShort(length, wanted: size) }
            // The tree asks one at a time, within this read.
            nonisolated(unsafe) var nodes = LedgerNodes(database)
            return try body(MerkleTree(size: size) { try nodes.hash($0) })
        }
    }

    private static func tooShort(_ size: Int, wanted: Int) -> Failure {
        Failure(.notFound, "the ledger has \(counted(size, "entry", "entries")), and no \(wanted)")
    }

    package func entry(_ number: Int) throws -> LoggedEntry {
        let found = try entries(LedgerQuery(numbers: number..<number + 1), order: .oldestFirst, limit: 1)
        guard let entry = found.first else {
            throw Failure(
                .notFound, "the ledger has no entry \(number)",
                suggestion: "it has \(try head().size); the first is number 0")
        }
        return entry
    }

    /// A page of entries; the next one is asked for with `numbers` beyond the last.
    package func entries(_ query: LedgerQuery, order: LedgerOrder, limit: Int) throws -> [LoggedEntry] {
        let statement = LedgerFile.statement(query, order)
        return try read { database in
            try Row.fetchAll(
                database, sql: statement.text, arguments: StatementArguments(statement.arguments + [limit])
            ).map { LoggedEntry(number: $0[0], bytes: Array($0[1] as Data)) }
        }
    }

    private static func statement(_ query: LedgerQuery, _ order: LedgerOrder) -> (
        text: String, arguments: [any DatabaseValueConvertible]
    ) {
        var names = subjects(of: query)
        var text = "SELECT number, body FROM ledger_entry WHERE number >= ? AND number < ?"
        var arguments: [any DatabaseValueConvertible] = [query.numbers.lowerBound, query.numbers.upperBound]
        if let rarest = names.first {
            // The index has them in the order of their numbers, so nothing is sorted, however many there are.
            text = """
                SELECT number, body FROM ledger_mention AS found CROSS JOIN ledger_entry ON number = found.entry
                    WHERE found.entry >= ? AND found.entry < ?
                        AND found.subject = (SELECT id FROM ledger_subject WHERE name = ?)
                """
            arguments.append(rarest)
            names.removeFirst()
        }
        for name in names {
            text += """
                 AND EXISTS (SELECT 1 FROM ledger_mention AS other WHERE other.entry = number
                    AND other.subject = (SELECT id FROM ledger_subject WHERE name = ?))
                """
            arguments.append(name)
        }
        if let since = query.since {
            text += " AND at >= ?"
            arguments.append(since.milliseconds)
        }
        let direction = order == .oldestFirst ? "ASC" : "DESC"
        text += " ORDER BY number \(direction) LIMIT ?"
        return (text, arguments)
    }

    /// Those that few entries have first.
    private static func subjects(of query: LedgerQuery) -> [String] {
        var names: [String] = []
        if let instance = query.instance { names.append(LedgerSubject.name(.instance, instance.text)) }
        if let evidence = query.evidence {
            names.append(LedgerSubject.name(.evidence, evidence.description))
        }
        if let image = query.image { names.append(LedgerSubject.name(.image, image.description)) }
        if let service = query.service?.description {
            if let release = query.release {
                names.append(LedgerSubject.name(.release, "\(service) \(release)"))
            } else {
                names.append(LedgerSubject.name(.service, service))
            }
        }
        if let kind = query.kind { names.append(LedgerSubject.name(.kind, kind.rawValue)) }
        return names
    }
}
