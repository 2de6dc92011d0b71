import ImageFormat
import Model

/// What the scripts of one package did, in the form that effects are made from: which files, owned by which names,
/// which accounts, and which calls of programs that Kiln answers itself.
struct TraceRecord: Hashable {
    /// A file, folder or link that is new or changed.
    struct Item: Hashable {
        enum Content: Hashable {
            /// It is no file.
            case none
            case bytes([UInt8])
            /// What the file held before.
            case same
        }

        /// Without owner and time.
        var entry: TarEntry
        /// Names of the image's accounts, or numbers as text where no account has one.
        var user: String
        var group: String
        var content: Content
    }

    /// A call of a program that was recorded.
    struct Call: Hashable {
        var program: String
        var arguments: [String]
    }

    struct Account: Hashable {
        var name: String
        var user: AccountRequests.User
    }

    struct Group: Hashable {
        var name: String
        /// Where the script asked for this number.
        var id: Int?
    }

    /// Sorted by path.
    var items: [Item] = []
    /// Paths that are gone, sorted.
    var removed: [String] = []
    /// Calls that matter for the image, in their order.
    var calls: [Call] = []
    var users: [Account] = []
    var groups: [Group] = []
    /// Group and user.
    var members: [[String]] = []
    /// What a user should know of it.
    var notes: [String] = []

    /// Changes whenever the same scripts give another record.
    static let version = 2

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.put(list: items) { writer, item in
            writer.put(item.entry)
            writer.put(item.user)
            writer.put(item.group)
            switch item.content {
            case .none: writer.put(0)
            case .same: writer.put(1)
            case .bytes(let bytes):
                writer.put(2)
                writer.put(bytes)
            }
        }
        writer.put(list: removed) { $0.put($1) }
        writer.put(list: calls) {
            $0.put($1.program)
            $0.put(list: $1.arguments) { $0.put($1) }
        }
        writer.put(list: users) {
            $0.put($1.name)
            $0.put($1.user.id ?? -1)
            $0.put(list: $1.user.group.map { [$0] } ?? []) { $0.put($1) }
            $0.put($1.user.comment)
            $0.put($1.user.home)
            $0.put($1.user.shell)
        }
        writer.put(list: groups) {
            $0.put($1.name)
            $0.put($1.id ?? -1)
        }
        writer.put(list: members) { $0.put(list: $1) { $0.put($1) } }
        writer.put(list: notes) { $0.put($1) }
        return writer.bytes
    }

    init() {}

    init(decoding bytes: [UInt8]) throws {
        var reader = ByteReader(bytes)
        items = try reader.list { reader in
            let entry = try reader.entry()
            let (user, group) = (try reader.text(), try reader.text())
            switch try reader.number() {
            case 0: return Item(entry: entry, user: user, group: group, content: .none)
            case 1: return Item(entry: entry, user: user, group: group, content: .same)
            case 2:
                return Item(entry: entry, user: user, group: group, content: .bytes(try reader.content()))
            default: throw ByteReader.Damage()
            }
        }
        removed = try reader.list { try $0.text() }
        calls = try reader.list { Call(program: try $0.text(), arguments: try $0.list { try $0.text() }) }
        users = try reader.list { reader in
            let (name, id) = (try reader.text(), try reader.number())
            let group = try reader.list { try $0.text() }.first
            return Account(
                name: name,
                user: AccountRequests.User(
                    id: id < 0 ? nil : id, group: group, comment: try reader.text(), home: try reader.text(),
                    shell: try reader.text()))
        }
        groups = try reader.list { reader in
            let (name, id) = (try reader.text(), try reader.number())
            return Group(name: name, id: id < 0 ? nil : id)
        }
        members = try reader.list { try $0.list { try $0.text() } }
        guard members.allSatisfy({ $0.count == 2 }) else { throw ByteReader.Damage() }
        notes = try reader.list { try $0.text() }
        guard reader.isAtEnd else { throw ByteReader.Damage() }
    }

    /// Paths, accounts and calls that are not the same in two records.
    func differences(from other: TraceRecord) -> [String] {
        func paths(_ items: [Item]) -> [String: Item] {
            Dictionary(items.map { ($0.entry.path, $0) }) { first, _ in first }
        }
        let (ours, theirs) = (paths(items), paths(other.items))
        var names = Set(ours.keys).union(theirs.keys).filter { ours[$0] != theirs[$0] }
        names.formUnion(Set(removed).symmetricDifference(other.removed))
        var found = names.sorted(by: TarEntry.precedes).map { "/" + $0 }
        if (users, groups, members) != (other.users, other.groups, other.members) {
            found.append("its accounts")
        }
        if calls != other.calls { found.append("the programs that it calls") }
        return found
    }
}

extension Effects {
    /// Takes what traced scripts did, as if they had been followed.
    mutating func take(_ record: TraceRecord) {
        for group in record.groups { accounts.add(group: group.name, id: group.id) }
        for account in record.users { accounts.add(user: account.name, account.user) }
        for member in record.members { accounts.add(member: member[1], of: member[0]) }
        for path in record.removed { _ = tree.remove("/" + path) }
        for item in record.items { take(item) }
        for call in record.calls {
            switch call.program {
            case "update-alternatives":
                if let alternative = Alternative(parsing: call.arguments) { alternatives.append(alternative) }
            case "systemd-tmpfiles": _ = TemporaryFiles(call.arguments)?.make(in: &tree)
            case "pam-auth-update": wantsProfiles = true
            case "dpkg-statoverride":
                if let path = call.arguments.last { overrides.insert(ImagePath.normalized(path)) }
            default: break
            }
        }
    }

    private mutating func take(_ item: TraceRecord.Item) {
        let path = "/" + item.entry.path
        if case .same = item.content {
            _ = tree.setMode(path, item.entry.mode)
            _ = tree.setAttributes(path, item.entry.attributes)
            _ = tree.setOwner(path, user: item.user, group: item.group, followLast: false)
            return
        }
        if let old = tree.entry(item.entry.path), old.kind == .directory, item.entry.kind != .directory {
            _ = tree.remove(path)
        }
        var entry = item.entry
        entry.modifiedAt = entry.kind == .directory ? 0 : tree.modifiedAt
        var content = EffectTree.Change.Content.none
        if case .bytes(let bytes) = item.content { content = .bytes(bytes) }
        tree.put(EffectTree.Change(entry: entry, content: content, user: item.user, group: item.group))
    }
}
