import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

struct AccountsTests {
    private func base() -> Accounts {
        Accounts(
            passwd: "root:*:0:0:root:/root:/bin/sh\nwww-data:*:33:33:w:/var/www:/x\n",
            group: "root:*:0:\nadm:*:4:\nwww-data:*:33:\nusers:*:100:\nnogroup:*:65534:\n")
    }

    private func requests(_ commands: [String]) -> AccountRequests {
        var requests = AccountRequests(
            knownUsers: ["root", "www-data"], knownGroups: ["root", "adm", "users"])
        for command in commands {
            let words = command.split(separator: " ").map(String.init)
            let isUnderstood = requests.take(words[0], Array(words.dropFirst()))
            #expect(isUnderstood)
        }
        return requests
    }

    @Test func `numbers do not depend on the order in which accounts are asked for`() {
        let commands = [
            "adduser --system --group zed", "useradd -r -s /bin/false mid", "addgroup --system abc",
            "adduser --system --ingroup adm low",
        ]
        var first = base()
        first.add(requests(commands))
        var second = base()
        second.add(requests(commands.reversed()))
        #expect(first == second)
        // 100 is a group of Debian's.
        #expect(first.group("abc")?.id == 101)
        #expect(first.user("low")?.id == 102)
        #expect(first.user("low")?.group == 4)
        #expect(first.user("zed")?.id == first.user("zed")?.group)
    }

    @Test func `fixed numbers are kept and given to nobody else`() {
        var accounts = base()
        accounts.add(requests(["useradd -u 101 fixed", "adduser --system --group a"]))
        #expect(accounts.user("fixed")?.id == 101)
        #expect(accounts.user("a")?.id == 102)
    }

    @Test func `sysusers files are understood`() {
        var requests = requests([])
        requests.take(
            sysusers: """
                # comment
                u redis - "Redis server" /var/lib/redis /bin/false
                g extra 970
                m redis extra
                u! locked 980:adm
                """)
        var accounts = base()
        accounts.add(requests)
        #expect(accounts.user("redis")?.comment == "Redis server")
        #expect(accounts.group("extra")?.members == ["redis"])
        #expect(accounts.user("locked")?.id == 980)
        #expect(accounts.user("locked")?.group == 4)
    }

    @Test func `no account has a password or a date`() {
        let accounts = base()
        #expect(accounts.shadow.split(separator: "\n").allSatisfy { $0.contains(":*::") })
        #expect(accounts.passwd.split(separator: "\n").allSatisfy { $0.contains(":x:") })
    }

    @Test func `owners are names or numbers of the image`() async throws {
        let accounts = base()
        #expect(try accounts.resolve("www-data", place: "x") == (33, 33))
        #expect(try accounts.resolve("www-data:adm", place: "x") == (33, 4))
        #expect(try accounts.resolve("1000:1000", place: "x") == (1000, 1000))
        #expect(try accounts.resolve("33", place: "x") == (33, 33))
        let found = await failures { _ = try accounts.resolve("wwwdata", place: "image.user") }
        #expect(found.first?.suggestion == "did you mean www-data?")
        #expect(found.first?.place == "image.user")
    }

    @Test func `alternatives go by priority, then by path`() {
        func choice(_ path: String, _ priority: Int) -> Alternative {
            Alternative(parsing: ["--install", "/usr/bin/awk", "awk", path, String(priority)])!
        }
        let choices = [choice("/usr/bin/b", 5), choice("/usr/bin/a", 5), choice("/usr/bin/gawk", 10)]
        #expect(Alternative.chosen(choices).map(\.main.path) == ["/usr/bin/gawk"])
        #expect(Alternative.chosen(Array(choices.prefix(2))).map(\.main.path) == ["/usr/bin/a"])
        let extremes = [choice("/usr/bin/least", .min), choice("/usr/bin/most", .max)]
        #expect(Alternative.chosen(extremes).map(\.main.path) == ["/usr/bin/most"])
        #expect(Alternative(parsing: ["--install", "/x", "x"]) == nil)
    }

    @Test func `the loader's folders come from its configuration, then the built-in ones`() {
        let files = [
            "etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n/opt/own # mine\n",
            "etc/ld.so.conf.d/a.conf": "/usr/local/lib\n",
            "etc/ld.so.conf.d/b.conf": "/lib/x86_64-linux-gnu\n",
        ]
        let folders = LoaderConfiguration.folders(
            { files[$0] },
            names: { folder in files.keys.filter { ImagePath.parent(of: $0) == folder }.sorted() },
            multiarch: "x86_64-linux-gnu")
        #expect(folders == ["usr/local/lib", "usr/lib/x86_64-linux-gnu", "opt/own", "usr/lib"])
    }
}
