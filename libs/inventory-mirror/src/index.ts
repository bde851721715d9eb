export { InventoryMirror, KnownHost, KnownServer, inventoryMirrorMigration } from './inventory-mirror';
