// JDBC: strings are sent as varchar, bytes and arrays with their types.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.OffsetDateTime;
import org.postgresql.util.PGInterval;
import org.postgresql.util.PGobject;

class ViaJdbc {
    static Connection conn;

    static int q(String sql, Object... values) throws SQLException {
        try (PreparedStatement s = conn.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++)
                s.setObject(i + 1, values[i]);
            ResultSet rows = s.executeQuery();
            int count = 0;
            while (rows.next())
                count++;
            return count;
        }
    }

    static int lag(String topic) throws SQLException {
        try (PreparedStatement s = conn.prepareStatement(
                "SELECT sum(lag)::int FROM rocketq.groups WHERE topic = ? AND consumer_group = ?")) {
            s.setString(1, topic);
            s.setString(2, "since");
            ResultSet rows = s.executeQuery();
            rows.next();
            return rows.getInt(1);
        }
    }

    public static void main(String[] args) throws Exception {
        String topic = args[0], spare = args[1];
        byte[] all = new byte[256];
        for (int i = 0; i < 256; i++)
            all[i] = (byte) i;
        PGobject json = new PGobject();
        json.setType("json");
        json.setValue("{\"b\": 1}");

        conn = DriverManager.getConnection("jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/"
                + System.getenv("PGDATABASE"), System.getenv("PGUSER"), "");
        q("SELECT rocketq.produce(?, ?)", topic, "text \u00e9 \\x41");
        q("SELECT rocketq.produce(?, ?)", topic, "{\"a\": 1}");
        q("SELECT rocketq.produce(?, ?)", topic, json);
        q("SELECT rocketq.produce(?, ?)", topic, all);
        q("SELECT rocketq.produce_batch(?, ?)", topic,
                conn.createArrayOf("text", new String[] {"one", "two, \"quoted\"", "\\x33"}));
        q("SELECT rocketq.produce_batch(?, ?)", topic,
                conn.createArrayOf("bytea", new byte[][] {{0, (byte) 255}, {1, (byte) 254}}));
        q("SELECT rocketq.produce(?, ?, tag => ?, keys => ?, properties => ?::jsonb, sharding_key => ?,"
                + " queue_id => ?, transactional => ?)", topic, "full", "created",
                conn.createArrayOf("varchar", new String[] {"k1", "k 2"}), "{\"p\": 1}", "s", 0, true);
        q("SELECT rocketq.create_group(?, ?, ?)", topic, "since", OffsetDateTime.now().minusHours(1));
        String alter = "SELECT rocketq.alter_topic(?, retention_time => ?)";
        q(alter, spare, 7200);
        q(alter, topic, "5 hours");
        q(alter, topic, new PGInterval("3 days"));
        int before = lag(topic);
        conn.setAutoCommit(false);
        int taken = q("SELECT * FROM rocketq.consume(?, ?, ?)", topic, "since", 100);
        q("SELECT rocketq.commit_offset(?, ?)", topic, "since");
        conn.commit();
        conn.setAutoCommit(true);
        System.out.println(before + " " + taken + " " + lag(topic));
        try {
            q("SELECT rocketq.produce(?, ?)", spare, all);
            System.out.println("taken");
        } catch (SQLException e) {
            if (!e.getSQLState().startsWith("22"))
                throw e;
            System.out.println("refused");
        }
    }
}
