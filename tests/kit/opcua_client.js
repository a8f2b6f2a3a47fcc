// A client of node-opcua: node opcua_client.js URL USER PASSWORD COUNT
// Prints "subscribed", waits for COUNT verdicts, then prints what happened as a line of JSON.
const { OPCUAClient, MessageSecurityMode, SecurityPolicy, UserTokenType, AttributeIds, DataType,
  ClientSubscription, ClientMonitoredItem, TimestampsToReturn } = require("node-opcua-client");

async function main(url, userName, password, count) {
  const client = OPCUAClient.create({
    endpointMustExist: false,
    securityMode: MessageSecurityMode.SignAndEncrypt,
    securityPolicy: SecurityPolicy.Basic256Sha256,
    connectionStrategy: { maxRetry: 1 },
  });
  await client.connect(url);
  const session = await client.createSession({ type: UserTokenType.UserName, userName, password });
  const subscription = ClientSubscription.create(session, {
    requestedPublishingInterval: 100, requestedLifetimeCount: 1000,
    requestedMaxKeepAliveCount: 10, publishingEnabled: true,
  });
  const item = ClientMonitoredItem.create(subscription,
    { nodeId: "ns=2;s=top.Index", attributeId: AttributeIds.Value },
    { samplingInterval: 0, queueSize: 100, discardOldest: true }, TimestampsToReturn.Both);
  const indexes = [];
  let first = true;
  const all = new Promise((resolve) => item.on("changed", (value) => {
    if (first) {
      first = false;
      console.log("subscribed");
      return;
    }
    indexes.push(value.value.value);
    if (indexes.length === count) resolve();
  }));
  await Promise.race([all, new Promise((resolve) => setTimeout(resolve, 20000))]);
  const write = await session.write({
    nodeId: "ns=2;s=top.OK", attributeId: AttributeIds.Value,
    value: { value: { dataType: DataType.Boolean, value: true } },
  });
  const recipe = async (name) => (await session.call({
    objectId: "ns=2;s=top", methodId: "ns=2;s=top.SetRecipe",
    inputArguments: [{ dataType: DataType.String, value: name }],
  })).statusCode.toString();
  const found = { indexes, write: write.toString(),
    wrong: await recipe("nope"), recipe: await recipe("caps") };
  await subscription.terminate();
  await session.close();
  await client.disconnect();
  console.log(JSON.stringify(found));
}

const [url, user, password, count] = process.argv.slice(2);
main(url, user, password, Number(count)).then(() => process.exit(0), (error) => {
  console.log(JSON.stringify({ error: String(error) }));
  process.exit(1);
});
