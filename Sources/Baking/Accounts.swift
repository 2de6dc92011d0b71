import Model

/// The users and groups of an image, as /etc/passwd and /etc/group list them.
struct Accounts: Hashable, Sendable {
    struct User: Hashable, Sendable {
        var name: String
        var id: Int
        var group: Int
        var comment: String
        var home: String
        var shell: String
    }

    struct Group: Hashable, Sendable {
        var name: String
        var id: Int
        var members: [String]
    }

    var users: [User] = []
    var groups: [Group] = []

    /// First number that accounts of packages get; Debian gives 0 to 99 itself.
    static let firstID = 100
    /// Debian's own tools stop at 999; an image of more accounts goes on.
    static let lastID = 59_999

    /// Reads the two files; lines that are no accounts are left out.
    init(passwd: String, group: String) {
        func rows(_ text: String, _ count: Int) -> [[String]] {
            text.split(separator: "\n").map {
                $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            }.filter { $0.count >= count && !$0[0].isEmpty }
        }
        users = rows(passwd, 7).compactMap { row in
            guard let id = Int(row[2]), let group = Int(row[3]) else { return nil }
            return User(name: row[0], id: id, group: group, comment: row[4], home: row[5], shell: row[6])
        }
        groups = rows(group, 4).compactMap { row in
            guard let id = Int(row[2]) else { return nil }
            return Group(name: row[0], id: id, members: row[3].split(separator: ",").map(String.init))
        }
    }

    func user(_ name: String) -> User? { users.first { $0.name == name } }
    func group(_ name: String) -> Group? { groups.first { $0.name == name } }

    /// Gives every request a number: the one it asks for, else the one that it had (`locked`), else the lowest that
    /// is free, in the order of the names, so that nothing but the lock and the set of accounts decides. Returns the
    /// numbers that no request asked for, by name.
    @discardableResult
    mutating func add(_ requests: AccountRequests, locked: [String: Int] = [:]) -> [String: Int] {
        var taken = Set(users.map(\.id)).union(groups.map(\.id))
        for case let id? in requests.users.values.map(\.id) { taken.insert(id) }
        for case let id? in requests.groups.values { taken.insert(id) }
        let names = Set(requests.users.keys).union(requests.groups.keys).sorted()
        var given: [String: Int] = [:]
        for name in names {
            if let id = locked[name], taken.insert(id).inserted { given[name] = id }
        }
        func number(_ name: String, _ wanted: Int?) -> Int {
            if let wanted { return wanted }
            if let id = given[name] { return id }
            let id = (Accounts.firstID...Accounts.lastID).first { !taken.contains($0) } ?? Accounts.lastID
            taken.insert(id)
            given[name] = id
            return id
        }
        for name in names {
            if let wanted = requests.groups[name] {
                let id = number(name, wanted ?? requests.users[name]?.id)
                groups.append(Group(name: name, id: id, members: []))
            }
            if let user = requests.users[name] {
                let id = number(name, user.id)
                users.append(
                    User(
                        name: name, id: id, group: -1, comment: user.comment, home: user.home,
                        shell: user.shell))
            }
        }
        for index in users.indices where users[index].group < 0 {
            let wanted = requests.users[users[index].name]?.group ?? users[index].name
            users[index].group = Int(wanted) ?? group(wanted)?.id ?? group("nogroup")?.id ?? 65534
        }
        for member in requests.members.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            guard let index = groups.firstIndex(where: { $0.name == member[0] }), user(member[1]) != nil,
                !groups[index].members.contains(member[1])
            else { continue }
            groups[index].members.append(member[1])
        }
        return given
    }

    var passwd: String {
        users.map { "\($0.name):x:\($0.id):\($0.group):\($0.comment):\($0.home):\($0.shell)\n" }.joined()
    }

    var groupFile: String {
        groups.map { "\($0.name):x:\($0.id):\($0.members.joined(separator: ","))\n" }.joined()
    }

    /// No account has a password, and none has a date: it would be the day of the bake.
    var shadow: String { users.map { "\($0.name):*::0:99999:7:::\n" }.joined() }
    var gshadow: String { groups.map { "\($0.name):*::\($0.members.joined(separator: ","))\n" }.joined() }

    /// `user` or `user:group`, names or numbers, as numbers. A user without a group has its own.
    func resolve(_ owner: String, place: String) throws -> (user: Int, group: Int) {
        let parts = owner.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(
            String.init)
        let user: Int
        var group = 0
        if let known = self.user(parts[0]) {
            (user, group) = (known.id, known.group)
        } else if let number = UInt32(parts[0]) {
            user = Int(number)
            group = users.first { $0.id == user }?.group ?? 0
        } else {
            throw unknown("user", parts[0], among: users.map(\.name), place)
        }
        if parts.count == 2 {
            if let known = self.group(parts[1]) {
                group = known.id
            } else if let number = UInt32(parts[1]) {
                group = Int(number)
            } else {
                throw unknown("group", parts[1], among: groups.map(\.name), place)
            }
        }
        return (user, group)
    }

    private func unknown(_ what: String, _ name: String, among names: [String], _ place: String) -> Failure {
        let near = CloseNames.question(name, among: names)
        return Failure(
            .invalidArgument, "the image has no \(what) \(name)", at: place,
            suggestion: near ?? "use a number, or one of \(names.joined(separator: ", "))")
    }
}
