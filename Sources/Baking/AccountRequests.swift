/// Users and groups that packages ask for, by whichever way; numbers are given once all are known.
struct AccountRequests: Hashable {
    struct User: Hashable {
        var id: Int?
        /// A group by name or number; nil: one named like the user.
        var group: String?
        var comment = ""
        var home = "/nonexistent"
        var shell = "/usr/sbin/nologin"
        /// Whether the home folder is made where no package holds it.
        var makesHome = false
    }

    private(set) var users: [String: User] = [:]
    /// Groups by name, with a fixed number where one is asked for.
    private(set) var groups: [String: Int?] = [:]
    /// Further groups of users.
    private(set) var members: Set<[String]> = []
    private let knownUsers: Set<String>
    private let knownGroups: Set<String>

    /// Begins with the accounts that every image of the distribution has.
    init(knownUsers: Set<String>, knownGroups: Set<String>) {
        self.knownUsers = knownUsers
        self.knownGroups = knownGroups
    }

    func hasUser(_ name: String) -> Bool { knownUsers.contains(name) || users[name] != nil }
    func hasGroup(_ name: String) -> Bool { knownGroups.contains(name) || groups[name] != nil }

    mutating func add(user name: String, _ user: User) {
        if hasUser(name) { return }
        users[name] = user
        if user.group == nil { add(group: name, id: nil) }
    }

    mutating func add(group name: String, id: Int?) {
        if hasGroup(name) { return }
        groups[name] = .some(id)
    }

    mutating func add(member user: String, of group: String) { members.insert([group, user]) }

    /// Takes an account command of a script; false where it asks for something that is not understood.
    mutating func take(_ command: String, _ arguments: [String]) -> Bool {
        guard let parsed = Words(command, arguments) else { return false }
        switch command {
        case "adduser":
            if parsed.operands.count == 2 {
                add(member: parsed.operands[0], of: parsed.operands[1])
                return true
            }
            if parsed.has("group"),
                !parsed.has("system") || parsed.has("no-create-home") && parsed.operands.isEmpty
            {
                return addGroup(parsed, "gid")
            }
            return addUser(parsed, by: command, groupByDefault: parsed.has("group") ? nil : "nogroup")
        case "addgroup":
            if parsed.operands.count == 2 {
                add(member: parsed.operands[0], of: parsed.operands[1])
                return true
            }
            return addGroup(parsed, "gid")
        case "groupadd": return addGroup(parsed, "gid")
        case "useradd": return addUser(parsed, by: command, groupByDefault: nil)
        case "usermod":
            if let user = parsed.operands.first, let group = parsed["gid"], users[user] != nil {
                users[user]?.group = group
            }
            guard let user = parsed.operands.first, let groups = parsed["groups"] ?? parsed["append"] else {
                // Locking and shells: accounts made here have no password anyway.
                return parsed.has("lock") || parsed["shell"] != nil || parsed["gid"] != nil
            }
            for group in groups.split(separator: ",") { add(member: user, of: String(group)) }
            return true
        default: return parsed.has("lock")
        }
    }

    private mutating func addUser(_ words: Words, by command: String, groupByDefault: String?) -> Bool {
        guard let name = words.operands.first, words.operands.count == 1 else { return false }
        var user = User(group: words["ingroup"] ?? words["gid"] ?? groupByDefault)
        if let text = words["uid"] {
            guard let id = Int(text) else { return false }
            user.id = id
        }
        user.comment = words["gecos"] ?? words["comment"] ?? ""
        if let home = words["home"] ?? words["home-dir"] { user.home = home }
        // adduser makes the home unless told not to, useradd only where told to.
        user.makesHome =
            user.home != "/nonexistent" && !words.has("no-create-home")
            && (command == "adduser" || words.has("create-home"))
        if let shell = words["shell"] { user.shell = shell }
        add(user: name, user)
        for group in (words["groups"] ?? "").split(separator: ",") { add(member: name, of: String(group)) }
        return true
    }

    private mutating func addGroup(_ words: Words, _ option: String) -> Bool {
        guard let name = words.operands.first, words.operands.count == 1 else { return false }
        let id = words[option].flatMap { Int($0) }
        guard words[option] == nil || id != nil else { return false }
        add(group: name, id: id)
        return true
    }

    /// The options of adduser and of the shadow tools, by their long names.
    private struct Words {
        private var values: [String: String] = [:]
        private var flags: Set<String> = []
        private(set) var operands: [String] = []

        private static let withValue: Set<String> = [
            "base-dir", "comment", "conf", "expiredate", "firstuid", "gecos", "gid", "groups", "home",
            "home-dir",
            "inactive", "ingroup", "key", "lastuid", "password", "root", "shell", "skel", "uid",
        ]
        /// Short options of useradd, groupadd and usermod.
        private static let short: [Character: String] = [
            "b": "base-dir", "c": "comment", "d": "home-dir", "e": "expiredate", "f": "inactive", "g": "gid",
            "G": "groups", "K": "key", "k": "skel", "p": "password", "R": "root", "s": "shell", "u": "uid",
            "r": "system", "M": "no-create-home", "m": "create-home", "N": "no-user-group", "U": "user-group",
            "l": "no-log-init", "o": "non-unique", "a": "append", "L": "lock", "q": "quiet",
        ]

        init?(_ command: String, _ arguments: [String]) {
            var rest = arguments[...]
            while let argument = rest.popFirst() {
                if argument.hasPrefix("--") {
                    let parts = argument.dropFirst(2).split(separator: "=", maxSplits: 1).map(String.init)
                    guard let name = parts.first else { continue }
                    if parts.count == 2 {
                        values[name] = parts[1]
                    } else if Words.withValue.contains(name) {
                        guard let value = rest.popFirst() else { return nil }
                        values[name] = value
                    } else {
                        flags.insert(name)
                    }
                } else if argument.hasPrefix("-"), argument.count > 1 {
                    for letter in argument.dropFirst() {
                        guard var name = Words.short[letter] else { return nil }
                        if command == "groupadd", letter == "g" { name = "gid" }
                        if command == "groupadd", letter == "f" {
                            flags.insert("force")
                            continue
                        }
                        if Words.withValue.contains(name) {
                            guard let value = rest.popFirst() else { return nil }
                            values[name] = value
                        } else {
                            flags.insert(name)
                        }
                    }
                } else {
                    operands.append(argument)
                }
            }
        }

        func has(_ flag: String) -> Bool { flags.contains(flag) }
        subscript(name: String) -> String? { values[name] }
    }

    /// Takes a sysusers.d(5) file.
    mutating func take(sysusers text: String) {
        for line in text.split(separator: "\n") {
            let words = AccountRequests.words(line)
            guard let type = words.first, words.count >= 2, !type.hasPrefix("#") else { continue }
            func field(_ index: Int) -> String? {
                words.indices.contains(index) && words[index] != "-" ? words[index] : nil
            }
            let name = words[1]
            switch type.prefix(1) {
            case "u":
                let ids = (field(2) ?? "").split(separator: ":").map(String.init)
                add(
                    user: name,
                    User(
                        id: ids.first.flatMap { Int($0) }, group: ids.count > 1 ? ids[1] : nil,
                        comment: field(3) ?? "", home: field(4) ?? "/", shell: field(5) ?? "/usr/sbin/nologin"
                    ))
            case "g": add(group: name, id: field(2).flatMap { Int($0) })
            case "m":
                if let group = field(2) {
                    add(group: group, id: nil)
                    add(member: name, of: group)
                }
            default: break
            }
        }
    }

    /// Words separated by space, quotes keeping them together.
    private static func words(_ line: Substring) -> [String] {
        var words: [String] = []
        var current = ""
        var quote: Character?
        var hasWord = false
        for character in line {
            if let mark = quote {
                if character == mark { quote = nil } else { current.append(character) }
            } else if character == "\"" || character == "'" {
                quote = character
                hasWord = true
            } else if character.isWhitespace {
                if hasWord { words.append(current) }
                (current, hasWord) = ("", false)
            } else {
                current.append(character)
                hasWord = true
            }
        }
        if hasWord { words.append(current) }
        return words
    }
}
